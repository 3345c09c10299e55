from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import confostain
from confostain.errors import ModelError, OptionError
from confostain.evaluation.stainer_comparison import evaluate_stainers, summary, with_truth
from confostain.imaging.linear_stain import gareau
from confostain.models.registry import load_model
from confostain.models.stainer import Model

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Careless:
    """The closed form, moved by 12 px, with a border around whatever it is given, on grey paper."""

    name: str = "careless"
    stride: int = 1
    receptive_field: int = 1
    weights_sha256: str = "abc"

    def __call__(self, pair: npt.NDArray[np.float32]) -> Rgb:
        rgb = np.roll(np.minimum(gareau(pair), 200), 12, axis=1)
        rgb[:, 0] = rgb[0] = 0
        return rgb


def load(name: str) -> Model:
    return Careless() if name == "careless" else load_model(name)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, painted_section: Path, phantom_scan: Path) -> Path:
    out = tmp_path_factory.mktemp("report") / "deep" / "out"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch, confostain.open_slide(phantom_scan) as slide:
        patch.setattr("confostain.evaluation.stainer_comparison.load_model", load)
        rows = evaluate_stainers(
            out,
            ["careless", "gareau"],
            histology=[str(painted_section)],
            scans=[slide],
            patches=2,
            side=256,
            say=said.append,
        ).rows
    assert said == [summary(row) for row in rows]
    assert [row.model for row in rows] == ["gareau", "beer-lambert", "careless"]  # each once
    return out


@pytest.fixture(scope="module")
def figures(report: Path) -> dict[str, dict]:
    facts = json.loads((report / "stainers.json").read_text())
    assert (facts["histology"], facts["references"], facts["patches"]) == (["section.png"], ["section.png"], 2)
    (facts["scan"],) = facts["scans"]
    return facts | {row["model"]: row for row in facts["rows"]}


def test_the_closed_form_is_the_measure_of_itself(figures: dict) -> None:
    scan = figures["gareau"]["scans"][figures["scan"]]
    assert scan["ssim"] == pytest.approx(1)
    assert (scan["texture"], scan["patches"], scan["colours"], scan["tile_difference"]) == (0, 1, 1, 0)
    assert [scan["missing"], scan["invented"]] == figures["proof"][figures["scan"]]["as it is"]
    assert scan["missing"] < 0.03
    assert scan["missing_by_chance"] > 0.6
    assert scan["seams"] == scan["seams_by_chance"]
    assert figures["gareau"]["weights_sha256"] is None


def test_a_careless_stain_is_found_out(figures: dict) -> None:
    scan, good = (figures[model]["scans"][figures["scan"]] for model in ("careless", "gareau"))
    assert scan["missing"] > 0.6
    assert scan["invented"] > 0.5
    assert scan["missing_per_mm2"] > 20 * good["missing_per_mm2"]
    assert scan["seams"] > 1.5 * scan["seams_by_chance"]
    assert 100 < scan["tile_difference"] <= 200
    assert scan["ssim"] < 0.6
    assert figures["careless"]["blank"]["mean"] < 210
    assert figures["careless"]["blank"]["texture"] > 10
    assert figures["careless"]["truth"]["f1"] < figures["gareau"]["truth"]["f1"]
    assert figures["careless"]["weights_sha256"] == "abc"


def test_what_to_hold_the_figures_against_is_there(figures: dict) -> None:
    assert list(figures["proof"]) == list(figures["floor"]) == [figures["scan"]]
    assert len(figures["proof"][figures["scan"]]) == 5
    assert len(figures["truth_audited"]) == 2


def test_the_page_shows_it_all_and_needs_no_other_file(report: Path, figures: dict) -> None:
    page = (report / "index.html").read_text()
    assert confostain.RESEARCH_USE in page
    for model in ("gareau", "beer-lambert", "careless"):
        assert f"{figures[model]['truth']['f1']:.3f}" in page
        assert page.count(f'alt="{model}"') == 3  # a scan and two simulated pairs
        assert page.count(f'alt="{model}: ') == 1  # nuclei
    assert page.count('alt="real H&amp;E"') == 4
    assert page.count('alt="fluorescence"') == 3
    assert "H&amp;E against itself" in page
    assert "pass for real scans" in page
    assert page.count("src=") == page.count('src="data:image/jpeg;base64,')
    assert "href=" not in page


def test_the_truth_itself_has_perfect_figures(painted_section: Path) -> None:
    from PIL import Image

    rgb = np.asarray(Image.open(painted_section))[100:356, 200:456]
    perfect = with_truth([rgb, rgb], [rgb, rgb])
    assert perfect.ssim == pytest.approx(1)
    assert (perfect.psnr, perfect.colour_difference, perfect.f1) == (math.inf, 0, 1)
    moved = with_truth([np.roll(rgb, 12, axis=0)], [rgb])
    assert moved.ssim < 0.6
    assert moved.colour_difference > 3
    assert moved.f1 < 0.6
    half = with_truth([rgb, np.roll(rgb, 12, axis=0)], [rgb, rgb])
    assert half.f1 == pytest.approx((1 + moved.f1) / 2, abs=0.02)
    assert half.ssim == pytest.approx((1 + moved.ssim) / 2)


def test_without_scans_or_without_histology_the_rest_is_judged(
    tmp_path: Path, painted_section: Path, phantom_scan: Path
) -> None:
    he = [str(painted_section)]
    simulated = evaluate_stainers(tmp_path / "a", histology=he, patches=1, side=128)
    assert all(row.truth and not row.scans for row in simulated.rows)
    assert (tmp_path / "a" / "index.html").is_file()
    with confostain.open_slide(phantom_scan) as slide:
        scanned = evaluate_stainers(tmp_path / "b", scans=[slide], references=he, side=128)
    assert all(row.scans and row.truth is None for row in scanned.rows)
    assert scanned.truth_audited is None
    assert "No H&amp;E was given" in (tmp_path / "b" / "index.html").read_text()


def test_two_models_of_one_name_are_refused(
    tmp_path: Path, painted_section: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confostain.evaluation.stainer_comparison.load_model", lambda name: Careless())
    with pytest.raises(OptionError, match="a name each"):
        evaluate_stainers(tmp_path / "out", ["a", "b"], histology=[str(painted_section)])
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_for_a_model_that_does_not_exist(tmp_path: Path, painted_section: Path) -> None:
    with pytest.raises(ModelError):
        evaluate_stainers(tmp_path / "out", ["nobody"], histology=[str(painted_section)])
    assert not (tmp_path / "out").exists()
