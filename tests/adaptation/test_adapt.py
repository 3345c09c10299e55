"""Adaptation as a whole: from scans to a folder that works wherever a model does."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from safetensors.numpy import load_file

from confostain import cli
from confostain.adaptation import adapt as module
from confostain.adaptation.adapt import adapt
from confostain.adaptation.despeckler import DespecklerJudgement
from confostain.adaptation.histology import AdaptationHistology
from confostain.adaptation.stain_figures import AUDITS, Share, StainFigures
from confostain.adaptation.stainer import StainerJudgement
from confostain.adaptation.work import AdaptationPlan, Work
from confostain.data.reference_colours import read_stain_colours
from confostain.errors import ConfigError, OutputError, SlideError
from confostain.geometry import Size
from confostain.models.card import SHIPPED, read_card
from confostain.models.registry import load_despeckler, load_model
from confostain.simulation.phantom import Phantom
from confostain.slide import open_slide

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

PLAN = AdaptationPlan(steps=2)


class Killed(Exception):
    """Ends an adaptation as a signal would."""


def begin(scan: Path, folder: Path, **options: Any) -> list[str]:
    with open_slide(scan) as slide:
        return adapt([slide], folder, **{"plan": PLAN} | options)


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def adapted(scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of two steps; not to be changed."""
    folder = tmp_path_factory.mktemp("adapted") / "mine"
    begin(scan, folder)
    return folder


def test_the_result_works_wherever_a_model_does(adapted: Path, scan: Path, tmp_path: Path) -> None:
    assert load_model(adapted, "cpu").card.name == "mine"
    assert load_despeckler(adapted / "despeckler").card.kind == "despeckler"
    out = tmp_path / "x.ome.tif"
    with pytest.raises(SystemExit) as exit_:
        cli.main(["stain", str(scan), "--model", str(adapted), "-o", str(out), "--region", "0,0,300,300"])
    assert exit_.value.code in (0, None)
    assert out.exists()
    assert not adapted.with_name("mine.adapting").exists()


def test_card_and_page_name_hashes_and_no_names(adapted: Path, scan: Path) -> None:
    card = read_card(adapted)
    assert "SHA-256" in card.data
    assert card.figures["adaptation"]["verdict"]  # type: ignore[index, call-overload]
    assert card.licence == read_card(SHIPPED / "swift").licence
    page = (adapted / "index.html").read_text()
    assert "before" in page
    for text in ((adapted / "card.json").read_text(), page):
        assert "patient-name" not in text
        assert str(scan.parent) not in text


def test_it_goes_on_after_a_kill_to_the_same_weights(adapted: Path, scan: Path, tmp_path: Path) -> None:
    def kill(done: int, _: int) -> None:
        if done == 3:  # the stainer is trained, the despeckler is not
            raise Killed

    folder = tmp_path / "mine"
    with pytest.raises(OutputError, match="no adaptation was broken off"):
        begin(scan, folder, resume=True)
    with pytest.raises(Killed):
        begin(scan, folder, progress=kill)
    assert not folder.exists()
    with pytest.raises(OutputError, match="give --resume"):
        begin(scan, folder)
    with pytest.raises(ConfigError, match="other scans, models, H&E or steps"):
        begin(scan, folder, resume=True, plan=AdaptationPlan(steps=3))
    begin(scan, folder, resume=True)
    for part in (".", "despeckler"):
        assert weights(folder / part) == weights(adapted / part)


def test_an_earlier_result_is_replaced_when_asked_and_other_folders_never(
    adapted: Path, scan: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="exists already"):
        begin(scan, adapted)
    other = tmp_path / "photos"
    other.mkdir()
    (other / "holiday.jpg").touch()
    with pytest.raises(OutputError, match="not replaced"):
        begin(scan, other, overwrite=True)
    assert (other / "holiday.jpg").exists()


def test_what_is_not_better_is_kept_as_it_was(scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def harmful(self: Work, task: str, progress: object) -> dict[str, torch.Tensor]:
        rng = torch.Generator().manual_seed(1)
        return {
            name: value + torch.randn(value.shape, generator=rng) * value.std() if value.ndim > 1 else value
            for name, value in self.models[task].weights.items()  # type: ignore[index]
        }

    monkeypatch.setattr(Work, "train", harmful)
    verdicts = begin(scan, tmp_path / "mine")
    assert ["kept as it was" in verdict for verdict in verdicts] == [True, True]
    for part, name in ((".", "swift"), ("despeckler", "despeckler")):
        kept, shipped = (load_file(f / "weights.safetensors") for f in (tmp_path / "mine" / part, SHIPPED / name))
        assert all(np.array_equal(kept[key], shipped[key]) for key in shipped)
    assert "not adapted" in read_card(tmp_path / "mine").description
    assert "kept as it was" in (tmp_path / "mine" / "index.html").read_text()


def stainer_judgement(
    errors: float = 0.02, colours: float = 0.2, f1: float = 0.9, nuclei: int = 10_000
) -> StainerJudgement:
    shares = dict.fromkeys(AUDITS, Share(errors, nuclei, None))
    return StainerJudgement(StainFigures(shares, 0.1, colours, None), f1)


def despeckler_judgement(
    ratio: float = 0.1, structure: float = 0.0, mean: float = 0.0, looks: float = 200, left: float = 0.2
) -> Any:
    return DespecklerJudgement(50, looks, mean, structure, ratio, 0.3, left)


@pytest.mark.parametrize(
    ("before", "after", "faults"),
    [
        (stainer_judgement(), stainer_judgement(0.01, 0.1), []),
        (stainer_judgement(), stainer_judgement(0.019, 0.19, 0.89), []),
        (stainer_judgement(), stainer_judgement(), ["together", "distance of colours"]),
        (stainer_judgement(), stainer_judgement(0.01, 0.3), ["distance of colours"]),
        (stainer_judgement(), stainer_judgement(0.01, 0.1, 0.8), ["F1"]),
        (stainer_judgement(), stainer_judgement(0.03, 0.1), [*AUDITS, "together"]),
        # of 100 nuclei, one more is chance; that all four rise is not
        (stainer_judgement(nuclei=100), stainer_judgement(0.03, 0.1, nuclei=100), ["together"]),
        (despeckler_judgement(), despeckler_judgement(0.2), []),
        (despeckler_judgement(), despeckler_judgement(0.5001), ["neighbours"]),
        (despeckler_judgement(), despeckler_judgement(0.2, structure=-0.06), ["structure"]),
        (despeckler_judgement(), despeckler_judgement(0.2, mean=0.02), ["mean"]),
        (despeckler_judgement(), despeckler_judgement(0.2, looks=199), ["looks"]),
        (despeckler_judgement(), despeckler_judgement(0.2, left=0.6), ["highlights"]),
    ],
)
def test_the_verdict_names_what_is_worse(before: Any, after: Any, faults: list[str]) -> None:
    said = after.faults_beside(before)
    assert len(said) == len(faults)
    assert all(word in text for word, text in zip(faults, said, strict=True))


def test_without_speckle_the_despeckler_is_left_alone(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Work, "speckle", None)
    lines: list[str] = []
    begin(scan, tmp_path / "mine", say=lines.append)
    assert any("left as it is" in line for line in lines)
    assert not (tmp_path / "mine" / module.DESPECKLER).exists()


def test_settings_are_plain_json(scan: Path, tmp_path: Path) -> None:
    with open_slide(scan) as slide:
        work = Work.begun(tmp_path / "w", [slide], PLAN, resume=False)
    assert json.loads((tmp_path / "w" / "settings.json").read_text())["steps"] == 2
    assert len(work.fields("train")) >= 2


def test_ones_own_histology_gives_the_colours(scan: Path, tmp_path: Path) -> None:
    section = Phantom(Size(900, 700), seed=5)
    path = tmp_path / "ours.tif"  # states a pixel size of its own
    rgb = section.histology(section.size.region)
    tifffile.imwrite(path, (255 * (rgb / 255.0) ** 0.7).astype(np.uint8), resolution=(14000, 14000), resolutionunit=3)
    begin(scan, tmp_path / "mine", plan=AdaptationPlan(steps=2, histology=AdaptationHistology((path,))))
    colours = read_card(tmp_path / "mine").colours
    assert colours == read_stain_colours(path)
    assert colours != read_card(SHIPPED / "swift").colours
    assert "1 of the user's H&E slides" in read_card(tmp_path / "mine").data


def test_speckle_of_reduced_fields_teaches_no_despeckler_and_a_scan_counts_once(scan: Path, tmp_path: Path) -> None:
    with open_slide(scan) as slide:
        work = Work.begun(tmp_path / "w", [slide], PLAN, resume=False)
        assert work.speckle is not None
        reduced = [dataclasses.replace(one, raw_train=[], raw_held_back=[]) for one in work.scans]
        assert dataclasses.replace(work, scans=reduced).speckle is None
        with pytest.raises(SlideError, match="given twice"):
            Work.begun(tmp_path / "v", [slide, slide], PLAN, resume=False)
