from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import confostain
from confostain.errors import ModelError, OptionError
from confostain.evaluation.stainer_comparison import evaluate_stainers, summary
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


@pytest.fixture(scope="module", autouse=True)
def few_crops() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("confostain.evaluation.feature_distances.CROPS", 6)
        yield


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
            report=said.append,
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


def test_the_gareau_image_has_no_distance_to_itself(figures: dict) -> None:
    scan = figures["gareau"]["scans"][figures["scan"]]
    assert scan["ssim_to_gareau"] == pytest.approx(1)
    assert (scan["lbp_distance"], scan["patch_distance_ratio"], scan["colour_distance_ratio"]) == (0, 1, 1)
    assert scan["tile_difference"] == 0
    assert [scan["missing"], scan["invented"]] == figures["audit_sanity"][figures["scan"]]["unchanged"]
    assert scan["missing"] < 0.03
    assert scan["missing_when_shifted"] > 0.6
    assert scan["seam_index"] == scan["seam_index_untiled"]
    assert figures["gareau"]["weights_sha256"] is None


def test_a_careless_stain_has_bad_metrics(figures: dict) -> None:
    scan, good = (figures[model]["scans"][figures["scan"]] for model in ("careless", "gareau"))
    assert scan["missing"] > 0.6
    assert scan["invented"] > 0.5
    assert scan["missing_per_mm2"] > 20 * good["missing_per_mm2"]
    assert scan["seam_index"] > 1.5 * scan["seam_index_untiled"]
    assert 100 < scan["tile_difference"] <= 200
    assert scan["ssim_to_gareau"] < 0.65
    assert figures["careless"]["empty_field"]["mean"] < 210
    assert figures["careless"]["empty_field"]["standard_deviation"] > 10
    assert figures["careless"]["truth"]["f1"] < figures["gareau"]["truth"]["f1"]
    assert figures["careless"]["weights_sha256"] == "abc"
    assert scan["missing_by_deconvolution"] > 0.6 > good["missing_by_deconvolution"]
    assert scan["invented_by_deconvolution"] > 0.5 > good["invented_by_deconvolution"]
    assert figures["careless"]["empty_ground"]["rim"] < 215 < figures["gareau"]["empty_ground"]["rim"]
    assert figures["careless"]["empty_field"]["below_white"] == 1


def test_figures_have_intervals_that_hold_them(figures: dict) -> None:
    for model in ("gareau", "beer-lambert", "careless"):
        for metrics in (figures[model]["truth"], figures[model]["scans"][figures["scan"]]):
            given = {name: interval for name, interval in metrics["intervals"].items() if interval}
            assert len(given) >= 7
            for name, (low, high) in given.items():
                slack = 0.02 * max(1, abs(metrics[name]))
                assert low - slack <= metrics[name] <= high + slack, (model, name)
    scan = figures["careless"]["scans"][figures["scan"]]
    assert set(scan) - set(scan["intervals"]) == {
        "lbp_distance", "seam_index", "seam_index_untiled", "tile_difference", "intervals",
    }  # fmt: skip


def test_baselines_are_reported(figures: dict) -> None:
    assert list(figures["audit_sanity"]) == list(figures["within_he_baseline"]) == [figures["scan"]]
    assert len(figures["audit_sanity"][figures["scan"]]) == 5
    assert len(figures["reference_he_audit"]) == 2


def test_the_page_shows_it_all_and_needs_no_other_file(report: Path, figures: dict) -> None:
    page = (report / "index.html").read_text()
    assert confostain.RESEARCH_USE in page
    for model in ("gareau", "beer-lambert", "careless"):
        assert f"{figures[model]['truth']['f1']:.3f}" in page
        assert page.count(f'alt="{model}"') == 3  # a scan and two simulated pairs
        assert page.count(f'alt="{model}: ') == 1  # nuclei
    assert page.count('alt="real H&amp;E"') == 4
    assert page.count('alt="fluorescence"') == 3
    assert "real H&amp;E against itself" in page
    assert "Domain gap" in page
    assert "Real H&amp;E, measured as a stain is" in page
    low, high = figures["careless"]["truth"]["intervals"]["f1"]
    assert f"{figures['careless']['truth']['f1']:.3f} ({low:.3f} to {high:.3f})" in page
    assert page.count("src=") == page.count('src="data:image/jpeg;base64,')
    assert "href=" not in page


def test_without_scans_or_without_histology_the_rest_is_evaluated(
    tmp_path: Path, painted_section: Path, phantom_scan: Path
) -> None:
    he = [str(painted_section)]
    simulated = evaluate_stainers(tmp_path / "a", histology=he, patches=1, side=128)
    assert all(row.truth and not row.scans for row in simulated.rows)
    assert (tmp_path / "a" / "index.html").is_file()
    with confostain.open_slide(phantom_scan) as slide:
        scanned = evaluate_stainers(tmp_path / "b", scans=[slide], references=he, side=128)
    assert all(row.scans and row.truth is None for row in scanned.rows)
    assert scanned.reference_he_audit is None
    assert "No H&amp;E was given" in (tmp_path / "b" / "index.html").read_text()


def test_figures_with_truth_are_given_for_each_h_and_e_slide(tmp_path: Path, painted_section: Path) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    section = Image.open(painted_section)
    for index in range(3):
        section.crop((400 + 200 * index, 500, 600 + 200 * index, 700)).save(folder / f"{index}.jpg", quality=95)
    comparison = evaluate_stainers(tmp_path / "out", histology=[str(painted_section), str(folder)], patches=3, side=128)
    for row in comparison.rows:
        assert row.truth is not None
        assert {name: truth.pairs for name, truth in row.truth_by_slide.items()} == {"section": 2, "tiles": 1}
        parts = [truth.ssim * truth.pairs for truth in row.truth_by_slide.values()]
        assert row.truth.ssim == pytest.approx(sum(parts) / 3)
    assert list(comparison.real_histology) == ["section", "tiles"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<h2>Simulated from section</h2>" in page
    assert "<h2>Simulated from tiles</h2>" in page


def test_two_models_of_one_name_are_refused(
    tmp_path: Path, painted_section: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confostain.evaluation.stainer_comparison.load_model", lambda name: Careless())
    with pytest.raises(OptionError, match="different names"):
        evaluate_stainers(tmp_path / "out", ["a", "b"], histology=[str(painted_section)])
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_for_a_model_that_does_not_exist(tmp_path: Path, painted_section: Path) -> None:
    with pytest.raises(ModelError):
        evaluate_stainers(tmp_path / "out", ["nobody"], histology=[str(painted_section)])
    assert not (tmp_path / "out").exists()
