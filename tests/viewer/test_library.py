"""Which slides are shown, and with which layers."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from confostain.errors import ModelError, SlideError
from confostain.geometry import Size
from confostain.inference.reduced_slide import reduced
from confostain.inference.tile_stainer import TileStainer
from confostain.models.registry import load_dye, load_model
from confostain.slide import open_slide
from confostain.viewer.confocal_layers import ConfocalLayers
from confostain.viewer.layer import TileIndex
from confostain.viewer.library import Library


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match="gareau"):
        Library("nothing")


def test_the_asked_model_comes_first(phantom_scan: Path) -> None:
    with Library("beer-lambert") as library:
        library.add_confocal(open_slide(phantom_scan), phantom_scan)
        (entry,) = library.entries.values()
        assert entry.describe()["label"] == "digitally stained: beer-lambert"
        assert next(iter(entry.layers.result(20))) == "beer-lambert"


def test_a_trained_stainer_is_a_layer(make_stainer: Callable[..., Path], phantom_scan: Path) -> None:
    folder = make_stainer("trained", input="gareau", despeckler="despeckler")
    with Library(str(folder)) as library:
        library.add_confocal(slide := open_slide(phantom_scan), phantom_scan)
        (entry,) = library.entries.values()
        layers = entry.layers.result(20)
        assert [info.id for info in entry.layer_infos][:2] == ["trained", "gareau"]
        layer, top = layers["trained"], TileIndex(0, 1, 1)
        _, work = layer.preparation(top) or (None, None)
        assert work is not None
        work()
        rgb, source = layer.render(top)
        assert source == "network"
        region = top.level0_region(Size(*slide.size))
        stainer = TileStainer(slide.read, Size(*slide.size), load_model(folder), slide.tissue)
        expected = stainer.stain_tile(stainer.grid(Size(*slide.size).region, 256).at(1, 1))
        assert expected is not None
        assert rgb.shape == (region.height, region.width, 3)
        np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize(
    ("scales", "microns_per_pixel", "offered"),
    [((0.4, 1.0), 1.6, False), ((0.4, 1.0), 1.5, True), ((0.4, 1.0), None, True), ((0.75, 0.75), 1.6, True)],
)
def test_a_model_that_refuses_the_pixel_size_is_no_layer(
    make_stainer: Callable[..., Path],
    unscaled_planes: tuple[Path, Path],
    scales: tuple[float, float],
    microns_per_pixel: float | None,
    offered: bool,
) -> None:
    folder, (r, f) = make_stainer("trained", microns_per_pixel=scales), unscaled_planes
    with Library(str(folder)) as library:
        slide = open_slide(reflectance=r, fluorescence=f, microns_per_pixel=microns_per_pixel)
        library.add_confocal(slide, r)
        (entry,) = library.entries.values()
        assert ("trained" in [info.id for info in entry.layer_infos]) == offered
        assert ("trained" in entry.layers.result(20)) == offered
        assert {"gareau", "fluorescence"} <= set(entry.layers.result(20))


@pytest.mark.parametrize(("microns_per_pixel", "factor"), [(0.5, 1), (0.2, 2), (0.1, 4)])
def test_a_fine_slide_is_reduced_for_a_layer(
    make_stainer: Callable[..., Path], unscaled_planes: tuple[Path, Path], microns_per_pixel: float, factor: int
) -> None:
    folder, (r, f) = make_stainer("trained", microns_per_pixel=(0.4, 1.0)), unscaled_planes
    with Library(str(folder)) as library:
        slide = open_slide(reflectance=r, fluorescence=f, microns_per_pixel=microns_per_pixel)
        library.add_confocal(slide, r)
        (entry,) = library.entries.values()
        rgb, _ = entry.layers.result(20)["trained"].render(TileIndex(0, 1, 1))
        view, model = reduced(slide, factor), load_model(folder)
        stainer = TileStainer(view.read, view.size, model, view.tissue)
        blocks = stainer.stain_tile(stainer.grid(view.size.region, 256 // factor).at(1, 1))
        assert blocks is not None
        np.testing.assert_array_equal(rgb, blocks.repeat(factor, 0).repeat(factor, 1))
        assert len(np.unique(rgb)) > 20


@pytest.mark.parametrize("dye", ["haematoxylin", "eosin"])
def test_each_dye_is_a_layer_where_the_stain_is_made_of_densities(
    dye: str, make_stainer: Callable[..., Path], phantom_scan: Path
) -> None:
    colours = {"nucleus": [0.47, 0.69, 0.4], "stroma": [0.08, 0.32, 0.2]}
    folder = make_stainer("trained", colours=colours)
    with Library(str(folder)) as library:
        library.add_confocal(slide := open_slide(phantom_scan), phantom_scan)
        (entry,) = library.entries.values()
        layer, top = entry.layers.result(20)[dye], TileIndex(0, 1, 1)
        assert dye in [info.id for info in entry.layer_infos]
        _, work = layer.preparation(top) or (None, None)
        assert work is not None
        work()
        rgb, source = layer.render(top)
        assert source == "network"
        stainer = TileStainer(slide.read, slide.size, load_dye(folder, dye), slide.tissue)
        np.testing.assert_array_equal(rgb, stainer.stain_tile(stainer.grid(slide.size.region, 256).at(1, 1)))
    with Library("gareau") as library:
        library.add_confocal(open_slide(phantom_scan), phantom_scan)
        (entry,) = library.entries.values()
        assert dye not in [info.id for info in entry.layer_infos]


def test_ids_are_the_same_next_time_and_tell_no_path(phantom_scan: Path) -> None:
    ids = []
    for _ in range(2):
        with Library("gareau") as library:
            library.add_confocal(open_slide(phantom_scan), phantom_scan)
            ids += library.entries
    assert ids[0] == ids[1]
    assert ids[0].isalnum()


@pytest.mark.parametrize("name", [b"notes.txt", b"\xff\xfe.tif", b"a\x1b[2J.tif"], ids=["text", "not UTF-8", "control"])
def test_what_a_watched_folder_holds_besides_is_listed(tmp_path: Path, name: bytes) -> None:
    with Library("gareau") as library:
        refused = threading.Event()
        library.listeners.append(refused.set)
        (tmp_path / os.fsdecode(name)).write_text("hello")
        library.watch(tmp_path)
        assert refused.wait(60)
        (one,) = library.refusals
        assert one["name"].endswith(name[-4:].decode())
        assert all(text.isprintable() and text.encode() for text in one.values())


def test_a_slide_that_cannot_be_surveyed_says_why(phantom_scan: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom_scan, tmp_path / "mosaic")
    with Library("gareau") as library:
        slide = open_slide(tmp_path / "mosaic")
        for file in (tmp_path / "mosaic").glob("*/*.tif"):
            file.write_bytes(file.read_bytes()[:5000])
        library.add_confocal(slide, tmp_path / "mosaic")
        (entry,) = library.entries.values()
        assert isinstance(entry.layers.exception(60), SlideError)
        assert entry.describe()["ready"] is False


@pytest.mark.parametrize("error", [SlideError("scan: damaged; copy it again"), OSError("I/O error"), ValueError("odd")])
def test_a_slide_that_cannot_be_surveyed_says_why_and_tells_all_pages(
    phantom_scan: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(ConfocalLayers, "of", fails)
    told = threading.Semaphore(0)
    with Library("gareau") as library:
        library.listeners.append(told.release)
        library.add_confocal(open_slide(phantom_scan), phantom_scan)
        for _ in range(2):  # once for the slide, once for its failure
            assert told.acquire(timeout=60)
        (entry,) = library.entries.values()
        assert entry.describe()["problem"] == str(error)
        assert entry.describe()["ready"] is False
