import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

import confostain
from confostain.data.manifest import (
    MANIFEST,
    PreparedPatch,
    load_manifest,
    read_patch,
    write_confocal,
    write_histology,
    write_manifest,
)
from confostain.errors import SlideError

RNG = np.random.default_rng(2)
PAIR = RNG.random((2, 96, 96), np.float32)
RGB = RNG.integers(0, 256, (96, 96, 3), np.uint8)


def patch(**changes: object) -> PreparedPatch:
    plain = PreparedPatch(
        file=Path("train/a.png"),
        kind="histology",
        split="train",
        slide="a",
        sources=("a.svs",),
        sha256=("1" * 64,),
        level0_xy=(0, 131),
        scale=1.595745,
        microns_per_pixel=0.75,
        side=96,
        tissue_share=0.7,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


BLANK = patch(file=None, dropped="blank", level0_xy=(0, 0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One kept patch of each kind, and a blank place."""
    for split in ("train", "validate"):
        (tmp_path / split).mkdir()
    write_histology(tmp_path / "train" / "a.png", RGB, 0.75)
    write_confocal(tmp_path / "validate" / "b.ome.tif", PAIR, 0.75)
    confocal = patch(
        file=Path("validate/b.ome.tif"), kind="confocal", split="validate", slide="b", sha256=("2" * 64, "3" * 64)
    )
    write_manifest(tmp_path, [BLANK, patch(), confocal])
    return tmp_path


def test_what_was_kept_comes_back(folder: Path) -> None:
    histology, confocal = load_manifest(folder)
    assert histology == patch(file=folder / "train" / "a.png")
    assert (confocal.kind, confocal.split, confocal.sha256) == ("confocal", "validate", ("2" * 64, "3" * 64))
    assert np.array_equal(read_patch(histology), RGB)
    pair = read_patch(confocal)
    assert pair.dtype == np.float32
    assert np.abs(pair - PAIR).max() <= 0.5 / 65535 + 1e-7


def test_a_confocal_patch_is_a_slide_to_everything_else(folder: Path) -> None:
    with confostain.open_slide(folder / "validate" / "b.ome.tif") as slide:
        assert (slide.size, slide.microns_per_pixel, slide.dtype) == ((96, 96), 0.75, np.uint16)
        assert "channel 1" in slide.sources[0]
    with tifffile.TiffFile(folder / "validate" / "b.ome.tif") as tiff:
        told = str(tiff.ome_metadata)
    assert 'PhysicalSizeX="0.75"' in told
    assert told.index('Name="reflectance"') < told.index('Name="fluorescence"')


def test_what_was_left_out_cannot_be_read() -> None:
    with pytest.raises(SlideError, match="blank"):
        read_patch(BLANK)


def test_a_patch_that_is_something_else_is_refused(folder: Path) -> None:
    histology, confocal = load_manifest(folder)
    with pytest.raises(SlideError, match="expected uint8"):
        read_patch(dataclasses.replace(histology, side=64))
    assert histology.file
    assert confocal.file
    for found in (histology, confocal):
        Path(str(found.file)).write_bytes(b"no picture")
        with pytest.raises(SlideError, match="cannot be read"):
            read_patch(found)
    histology.file.unlink()
    with pytest.raises(SlideError, match="the file is not there"):
        load_manifest(folder)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (patch(file=None, dropped="ink", split="validate"), "slide a is in train and in validate"),
        (patch(file=None, dropped="ink", split="validate", slide="z"), r"a \(as z again\)"),
        (patch(file=None, dropped="ink", split="validate", slide="z", sha256=("9" * 64, "1" * 64)), "again"),
    ],
)
def test_a_slide_on_both_sides_is_found_under_any_name(folder: Path, other: PreparedPatch, message: str) -> None:
    write_manifest(folder, [patch(), other])
    with pytest.raises(SlideError, match=message):
        load_manifest(folder)


def test_damaged_manifests_are_refused(folder: Path) -> None:
    path = folder / MANIFEST
    line = json.loads(path.read_text().splitlines()[0])
    for damaged in ("{", "[]", line | {"colour": "red"}, {"file": "a"}, line | {"split": "test"}, line | {"file": "a"}):
        path.write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
        with pytest.raises(SlideError, match=r"line 1.*prepare"):
            load_manifest(folder)
    path.unlink()
    with pytest.raises(SlideError, match="confostain prepare"):
        load_manifest(folder)
