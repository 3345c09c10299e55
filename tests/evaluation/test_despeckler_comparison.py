import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from confostain.errors import SlideError
from confostain.evaluation.classical_despeckling import CLASSICAL, Classical
from confostain.evaluation.despeckler_comparison import compare_despecklers, noise_levels, table, tissue_patches
from confostain.evaluation.real_scan import checkerboard, judge_real, judged
from confostain.evaluation.reference_metrics import psnr
from confostain.io.readers.layouts import open_grey
from confostain.simulation.speckle import Image, Speckle


def tissue(size: int, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    slow, fine = (gaussian_filter(rng.standard_normal((size, size)), sigma) for sigma in (18, 5))
    return (0.35 * np.exp(0.4 * slow / slow.std()) + 0.05 * (fine > fine.std())).clip(0.05, 0.9).astype(np.float32)


@pytest.mark.parametrize("method", CLASSICAL, ids=lambda method: method.name)
def test_classical_methods_take_speckle_out_and_keep_the_mean(method: Classical) -> None:
    clean, noise = tissue(72), Speckle(8, pedestal=0.05)
    noisy, expected = noise.recorded(clean, 1), noise.expected(clean)
    made = method.run(noisy, noise, 1.0)
    assert made.shape == clean.shape
    assert psnr(made, expected) > psnr(noisy, expected) + 4
    assert made.mean() == pytest.approx(expected.mean(), rel=0.05)


def test_the_papers_noise_has_the_papers_psnr() -> None:
    patches = [tissue(256, seed) for seed in range(3)]
    noise = noise_levels(patches)["paper"]
    made = [psnr(noise.recorded(patch, seed), patch) for seed, patch in enumerate(patches)]
    assert np.mean(made) == pytest.approx(16.19, abs=0.1)


def test_patches_show_tissue() -> None:
    slide = np.zeros((600, 1300), np.uint8)
    slide[:, 500:] = 100
    patches = tissue_patches([slide], 40)
    assert len(patches) == 6
    assert len(tissue_patches([slide], 4)) == 4
    assert len(tissue_patches([slide], 40, side=600)) == 1
    assert all(patch.shape == (256, 256) and patch.min() > 0.35 for patch in patches)
    with pytest.raises(SlideError, match="without"):
        tissue_patches([np.zeros((800, 800), np.uint8)], 4)


def test_the_comparison_writes_table_figure_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confostain.evaluation.despeckler_comparison.CLASSICAL", CLASSICAL[:2])
    rgb = 255 - np.rint(tissue(256)[..., None] * [200, 255, 180]).astype(np.uint8)
    Pillow.fromarray(rgb).save(tmp_path / "he.png")
    rows = compare_despecklers([str(tmp_path / "he.png")], tmp_path / "out", patches=2)
    named = {row.method: row for row in rows}
    assert list(named) == [
        "noisy", "median 3 x 3", "Lee", "despeckler-paper, without median", "despeckler-paper", "despeckler",
    ]  # fmt: skip
    assert named["noisy"].psnr["paper"] == pytest.approx(16.19, abs=0.2)
    assert named["despeckler"].psnr["paper"] > named["Lee"].psnr["paper"]
    assert (tmp_path / "out/despecklers.md").read_text() == table(rows)
    assert json.loads((tmp_path / "out/despecklers.json").read_text())["patches"] == 1
    assert (tmp_path / "out/despecklers.png").stat().st_size > 10_000


def test_a_perfect_result_passes_the_judgement_of_a_real_scan() -> None:
    clean, noise = tissue(400, 3), Speckle(45, 0.55, pedestal=0.08, read_noise=0.005)
    noisy, expected = noise.recorded(clean, 1), noise.expected(clean)
    good = judged(noisy, expected)
    assert good.looks_after > 4 * good.looks_before
    assert abs(good.mean_change) < 0.01
    assert abs(good.ratio_gradient_correlation) < 0.05
    assert good.ratio_correlation == pytest.approx(good.speckle_correlation, abs=0.05)
    for name in ("looks", "fitted_looks", "grain", "neighbour_correlation", "roughness"):
        assert getattr(good.twin, name) == pytest.approx(getattr(good.scan, name), rel=0.2), name
    assert "x " in good.text()
    assert judged(noisy, noisy).looks_after == good.looks_before


def test_a_real_scan_is_judged_on_the_scale_of_its_detector(tmp_path: Path) -> None:
    """Half of the range of 16 bits, a pedestal, and the zeros that a scanner pads with."""
    noise = Speckle(45, 0.55, pedestal=0.08, gain=0.5, read_noise=0.005)
    raw = np.pad(np.rint(noise.recorded(tissue(320, 3), 1).clip(0, 1) * 65535).astype(np.uint16), ((0, 0), (0, 120)))
    tifffile.imwrite(tmp_path / "raw.tif", raw)
    verdict = judge_real(open_grey(tmp_path / "raw.tif"), tmp_path / "report")
    assert abs(verdict.mean_change) < 0.01
    assert verdict.looks_after > 2 * verdict.looks_before
    assert abs(verdict.swing_gradient_correlation) < 0.2
    facts = json.loads((tmp_path / "report" / "real.json").read_text())
    assert facts["mean_change"] == verdict.mean_change
    assert (tmp_path / "report" / "real.png").stat().st_size > 1000


def test_a_checkerboard_is_found() -> None:
    image = tissue(200)
    assert checkerboard(image) < 2e-4
    marked = image.copy()
    marked[::2, ::2] *= 1.02
    assert checkerboard(marked) == pytest.approx(0.005, rel=0.2)
    assert checkerboard(np.zeros((20, 20), np.float32)) == 0
