import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from confostain.data import prepare as preparation
from confostain.data.contact_sheet import ContactSheet, write_sheet
from confostain.data.manifest import load_manifest, read_patch
from confostain.data.prepare import prepare_confocal, prepare_histology
from confostain.data.split import PatchPlan
from confostain.errors import ConfostainWarning, OutputError, SlideError
from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom

SIDE = 128


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """H&E of three patients, 0.75 um/px; the first with a pen mark on its last two columns of patches."""
    folder = tmp_path_factory.mktemp("sections")
    paths = []
    for seed in range(3):
        phantom = Phantom(Size(640, 512), seed=seed)
        pixels = phantom.histology(phantom.size.region)
        if seed == 0:
            pixels[:, 3 * SIDE + 20 : 3 * SIDE + 50] = (20, 110, 60)
        paths.append(folder / f"section{seed}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def plan(sections: list[Path]) -> PatchPlan:
    return PatchPlan(side=SIDE, validate=(sections[2],), microns_per_pixel=0.75)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sections_become_patches_with_a_manifest(sections: list[Path], tmp_path: Path, plan: PatchPlan) -> None:
    calls: list[tuple[int, int]] = []
    records = prepare_histology(sections[:2], tmp_path / "out", plan, progress=lambda *call: calls.append(call))
    assert len(records) == 3 * 20  # 5 x 4 places on each slide
    assert calls == [(number, 60) for number in range(1, 61)]
    assert {record.dropped for record in records} == {None, "blank", "ink"}
    assert {record.level0_xy[0] for record in records if record.dropped == "ink"} == {3 * SIDE}
    assert {record.slide for record in records if record.dropped == "ink"} == {"section0"}
    kept = load_manifest(tmp_path / "out")
    assert len(kept) == sum(record.dropped is None for record in records)
    assert Counter(patch.split for patch in kept).keys() == {"train", "validate"}
    for patch in kept:
        with Image.open(sections[int(patch.slide[-1])]) as whole:
            x, y = patch.level0_xy
            assert np.array_equal(read_patch(patch), np.asarray(whole)[y : y + SIDE, x : x + SIDE])
        assert patch.split == ("validate" if patch.slide == "section2" else "train")
        assert patch.file is not None
        assert patch.file.parent.name == patch.split
        assert patch.tissue_share >= 0.3
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert there == {"manifest.jsonl", "train", "validate", "kept.png", "dropped.png"}
    assert set(tree(tmp_path / "out")) - {"manifest.jsonl", "kept.png", "dropped.png"} == {
        str(patch.file.relative_to(tmp_path / "out")) for patch in kept if patch.file
    }


def test_scans_become_patches_with_a_manifest(phantom_scan: Path, phantom: Phantom, tmp_path: Path) -> None:
    other = Phantom(Size(700, 523), seed=8)
    write_mosaic(tmp_path / "second", other.size, other.recorded_bands(), 0.375)
    plan = PatchPlan(side=SIDE, validate=(tmp_path / "second",))
    records = prepare_confocal([phantom_scan], tmp_path / "out", plan)
    assert Counter(record.split for record in records) == {"train": 20, "validate": 4}
    assert {record.dropped for record in records} <= {None, "blank"}
    kept = load_manifest(tmp_path / "out")
    first = next(patch for patch in kept if patch.level0_xy == (256, 128))
    assert first.sources[0].endswith("DET#1/highres_raw.tif")
    assert len(first.sha256) == 2
    pair = read_patch(first)
    assert (pair.shape, pair.dtype) == ((2, SIDE, SIDE), np.float32)
    raw = [tifffile.imread(phantom_scan / f"DET#{n}" / "highres_raw.tif")[128:256, 256:384] for n in (1, 2)]
    assert all(np.corrcoef(made.ravel(), stored.ravel())[0, 1] > 0.98 for made, stored in zip(pair, raw, strict=True))
    fine = [patch for patch in kept if patch.split == "validate"]
    assert {patch.scale for patch in fine} == {2}
    assert {patch.level0_xy for patch in fine} <= {(0, 0), (256, 0), (0, 256), (256, 256)}


def test_the_same_plan_gives_the_same_files(sections: list[Path], tmp_path: Path, plan: PatchPlan) -> None:
    for name in ("a", "b"):
        prepare_histology(sections[:2], tmp_path / name, plan)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_nothing_is_overwritten_unasked_and_never_anything_else(
    sections: list[Path], tmp_path: Path, plan: PatchPlan
) -> None:
    out = tmp_path / "out"
    prepare_histology(sections[:2], out, plan)
    before = tree(out)
    with pytest.raises(OutputError, match="--overwrite"):
        prepare_histology(sections[:1], out, plan)
    assert tree(out) == before
    prepare_histology(sections[:1], out, plan, overwrite=True)
    assert len(tree(out)) < len(before)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not replaced"):
        prepare_histology(sections[:1], out, plan, overwrite=True)
    (out / "notes.txt").unlink()
    inside = next(iter(out.glob("train/*.png")))
    with pytest.raises(OutputError, match="another folder"):
        prepare_histology([inside], out, plan, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def damaged(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    raise SlideError(f"{path}: damaged")


def no_room(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    raise OSError(28, os.strerror(28))


@pytest.mark.parametrize(("fault", "error"), [(damaged, SlideError), (no_room, OutputError)])
def test_what_goes_wrong_on_the_way_leaves_nothing(
    sections: list[Path],
    tmp_path: Path,
    plan: PatchPlan,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[..., None],
    error: type[Exception],
) -> None:
    write, calls = preparation.HistologyPatchExtractor.write, []

    def third_time(self: preparation.HistologyPatchExtractor, path: Path, pixels: npt.NDArray[np.uint8]) -> None:
        calls.append(path)
        (fault if len(calls) == 3 else lambda *given: write(self, *given))(path, pixels)

    monkeypatch.setattr(preparation.HistologyPatchExtractor, "write", third_time)
    before = set(threading.enumerate())
    with pytest.raises(error) as caught:  # whoever keeps the error keeps no thread at work
        prepare_histology(sections[:2], tmp_path / "out", plan)
    assert set(threading.enumerate()) <= before
    assert "damaged" in str(caught.value) or f"{tmp_path / 'out'}: writing failed" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_slides_without_a_usable_patch_are_refused(sections: list[Path], tmp_path: Path) -> None:
    glass = tmp_path / "glass.png"
    Image.fromarray(np.full((300, 300, 3), 243, np.uint8)).save(glass)
    with pytest.raises(SlideError, match=r"no patch can be kept \(4 blank"):
        prepare_histology([glass], tmp_path / "out", PatchPlan(SIDE, 1, microns_per_pixel=0.75))
    with (
        pytest.warns(ConfostainWarning, match="smaller than one patch"),
        pytest.raises(SlideError, match="no slide is large enough"),
    ):
        prepare_histology(sections[:1], tmp_path / "out", PatchPlan(train_share=1, microns_per_pixel=0.75))
    assert list(tmp_path.iterdir()) == [glass]


def test_contact_sheets_show_what_was_kept_and_what_was_not(
    sections: list[Path], tmp_path: Path, plan: PatchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets: dict[str, list[str]] = {}

    def noted(path: Path, title: str, shown: list[ContactSheet]) -> None:
        sheets[path.name] = [caption for sheet in shown for _, caption in sheet.shown]
        write_sheet(path, title, shown)

    monkeypatch.setattr(preparation, "write_sheet", noted)
    records = prepare_histology(sections[:2], tmp_path / "out", plan)
    kept = [f"{record.split[0]} {record.slide}" for record in records if record.dropped is None]
    dropped = [record.dropped for record in records if record.dropped and record.tissue_share >= 0.02]
    assert sheets["kept.png"] == kept
    assert sheets["dropped.png"] == sorted(map(str, dropped), key=dropped.index)  # reason by reason
    assert {"ink", "blank"} == set(dropped)
    for name, captions in sheets.items():
        with Image.open(tmp_path / "out" / name) as sheet:
            assert sheet.size == (12 * 132, 20 + -(-len(captions) // 12) * 146)


def test_an_interruption_ends_the_work_and_leaves_nothing(
    sections: list[Path], tmp_path: Path, plan: PatchPlan
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt) as caught:
        prepare_histology(sections[:2], tmp_path / "out", plan, progress=interrupt)
    assert set(threading.enumerate()) <= before
    assert caught.value.__traceback__ is not None
    assert list(tmp_path.iterdir()) == []
