"""When a watched folder reports a slide."""

import shutil
import threading
from pathlib import Path

import pytest

from confostain.errors import OptionError
from confostain.slide import Slide, open_slide
from confostain.viewer.folder_watcher import FolderWatcher


class Scans:
    """A watched folder, scanned by hand, and the slides found so far."""

    def __init__(self, folder: Path) -> None:
        self.found: list[Path] = []
        self._watcher = FolderWatcher(folder, open_slide, self._take)
        self._watcher.scan()

    def _take(self, slide: Slide, path: Path) -> None:
        slide.close()
        self.found.append(path)

    def again(self) -> list[Path]:
        self._watcher.scan()
        return self.found


def test_a_scan_shows_up_when_it_has_been_written(phantom_scan: Path, tmp_path: Path) -> None:
    scans = Scans(tmp_path)
    shutil.copytree(phantom_scan / "DET#1", tmp_path / "scan" / "mosaic" / "DET#1")
    for _ in range(2):
        assert scans.again() == []  # one detector is no slide yet
    source = (phantom_scan / "DET#2" / "highres_raw.tif").read_bytes()
    target = tmp_path / "scan" / "mosaic" / "DET#2" / "highres_raw.tif"
    target.parent.mkdir()
    for part in (len(source) // 3, len(source) // 2, len(source)):
        target.write_bytes(source[:part])
        assert scans.again() == []  # still being written
    assert scans.again() == [tmp_path / "scan"]
    assert scans.again() == [tmp_path / "scan"]  # once


def test_a_scan_that_was_there_is_found_and_rubbish_is_not(phantom_scan: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom_scan, tmp_path / "mosaic")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").mkdir()
    scans = Scans(tmp_path)
    assert scans.again() == [tmp_path / "mosaic"]
    shutil.rmtree(tmp_path / "mosaic")
    assert scans.again() == [tmp_path / "mosaic"]


def test_a_started_watcher_scans_until_it_is_closed(phantom_scan: Path) -> None:
    found = threading.Event()

    def take(slide: Slide, path: Path) -> None:
        slide.close()
        found.set()

    watcher = FolderWatcher(phantom_scan.parent, open_slide, take, interval=0.01)
    watcher.start()
    assert found.wait(60)
    watcher.close()
    assert "watch" not in {thread.name for thread in threading.enumerate()}


def test_only_a_folder_can_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such folder"):
        FolderWatcher(tmp_path / "nowhere", open_slide, print)
