"""Which slides are shown, and when."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from confostain.errors import ModelError, OptionError, SlideError
from confostain.geometry import Size
from confostain.inference.tile_stainer import TileStainer
from confostain.models.registry import load_model
from confostain.slide import Slide, open_slide
from confostain.viewer.layers import Place
from confostain.viewer.library import Library
from confostain.viewer.watching import Watcher


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match="gareau"):
        Library("nothing")


def test_the_asked_model_comes_first(phantom_scan: Path) -> None:
    with Library("beer-lambert") as library:
        library.add_confocal(open_slide(phantom_scan), phantom_scan)
        (entry,) = library.entries.values()
        assert entry.described()["label"] == "digitally stained: beer-lambert"
        assert next(iter(entry.layers.result(20))) == "beer-lambert"


def test_a_trained_stainer_is_a_layer(make_stainer: Callable[..., Path], phantom_scan: Path) -> None:
    folder = make_stainer("trained", input="gareau", despeckler="despeckler")
    with Library(str(folder)) as library:
        library.add_confocal(slide := open_slide(phantom_scan), phantom_scan)
        (entry,) = library.entries.values()
        layers = entry.layers.result(20)
        assert [info.id for info in entry.infos][:2] == ["trained", "gareau"]
        layer, top = layers["trained"], Place(0, 1, 1)
        _, work = layer.preparation(top) or (None, None)
        assert work is not None
        work()
        rgb, source = layer.render(top)
        assert source == "network"
        region = top.level0_region(Size(*slide.size))
        painter = TileStainer(slide.read, Size(*slide.size), load_model(folder), slide.tissue)
        expected = painter.stain_tile(painter.grid(Size(*slide.size).region, 256).at(1, 1))
        assert expected is not None
        assert rgb.shape == (region.height, region.width, 3)
        np.testing.assert_array_equal(rgb, expected)


def test_ids_are_the_same_next_time_and_tell_no_path(phantom_scan: Path) -> None:
    ids = []
    for _ in range(2):
        with Library("gareau") as library:
            library.add_confocal(open_slide(phantom_scan), phantom_scan)
            ids += library.entries
    assert ids[0] == ids[1]
    assert ids[0].isalnum()


def test_a_slide_that_cannot_be_surveyed_says_why(phantom_scan: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom_scan, tmp_path / "mosaic")
    with Library("gareau") as library:
        slide = open_slide(tmp_path / "mosaic")
        for file in (tmp_path / "mosaic").glob("*/*.tif"):
            file.write_bytes(file.read_bytes()[:5000])
        library.add_confocal(slide, tmp_path / "mosaic")
        (entry,) = library.entries.values()
        assert isinstance(entry.layers.exception(60), SlideError)
        assert entry.described()["ready"] is False


class Folder:
    """A watched folder, looked at by hand."""

    def __init__(self, path: Path) -> None:
        self.found: list[Path] = []
        looked = threading.Event()

        class Told(Watcher):
            def _look(self) -> None:
                super()._look()
                looked.set()

        self.watcher = Told(path, open_slide, self._take, interval=1000)
        assert looked.wait(60)  # its own first look

    def _take(self, slide: Slide, path: Path) -> None:
        slide.close()
        self.found.append(path)

    def look(self) -> list[Path]:
        self.watcher._look()
        return self.found


def test_a_scan_shows_up_when_it_has_been_written(phantom_scan: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    shutil.copytree(phantom_scan / "DET#1", tmp_path / "scan" / "mosaic" / "DET#1")
    for _ in range(2):
        assert folder.look() == []  # one detector is no slide yet
    source = (phantom_scan / "DET#2" / "highres_raw.tif").read_bytes()
    target = tmp_path / "scan" / "mosaic" / "DET#2" / "highres_raw.tif"
    target.parent.mkdir()
    for part in (len(source) // 3, len(source) // 2, len(source)):
        target.write_bytes(source[:part])
        assert folder.look() == []  # still being written
    assert folder.look() == [tmp_path / "scan"]
    assert folder.look() == [tmp_path / "scan"]  # once
    folder.watcher.close()


def test_a_scan_that_was_there_is_found_and_rubbish_is_not(phantom_scan: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom_scan, tmp_path / "mosaic")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").mkdir()
    folder = Folder(tmp_path)
    assert folder.look() == [tmp_path / "mosaic"]
    shutil.rmtree(tmp_path / "mosaic")
    assert folder.look() == [tmp_path / "mosaic"]
    folder.watcher.close()


def test_only_a_folder_can_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such folder"):
        Watcher(tmp_path / "nowhere", open_slide, print)
