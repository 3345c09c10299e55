import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from confostain.arrays import Image
from confostain.errors import SlideError
from confostain.evaluation.classical_despeckling import CLASSICAL_METHODS
from confostain.evaluation.despeckler_comparison import compare_despecklers, noise_levels, table, tissue_patches
from confostain.evaluation.reference_metrics import psnr

MakeImage = Callable[..., Image]


def test_the_papers_noise_has_the_papers_psnr(tissue_image: MakeImage) -> None:
    patches = [tissue_image(256, seed) for seed in range(3)]
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


def test_the_comparison_writes_table_figure_and_numbers(tmp_path: Path, tissue_image: MakeImage) -> None:
    rgb = 255 - np.rint(tissue_image(256)[..., None] * [200, 255, 180]).astype(np.uint8)
    Pillow.fromarray(rgb).save(tmp_path / "he.png")
    rows = compare_despecklers([str(tmp_path / "he.png")], tmp_path / "out", patches=2, classical=CLASSICAL_METHODS[:2])
    named = {row.method: row for row in rows}
    assert list(named) == [
        "noisy", "median 3 x 3", "Lee", "despeckler-paper, without median", "despeckler-paper", "despeckler",
    ]  # fmt: skip
    assert named["noisy"].psnr["paper"] == pytest.approx(16.19, abs=0.2)
    assert named["despeckler"].psnr["paper"] > named["Lee"].psnr["paper"]
    assert (tmp_path / "out/despecklers.md").read_text() == table(rows)
    assert json.loads((tmp_path / "out/despecklers.json").read_text())["patches"] == 1
    assert (tmp_path / "out/despecklers.png").stat().st_size > 10_000
