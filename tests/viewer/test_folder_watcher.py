"""When a watched folder reports a slide."""

import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import chdir, closing
from pathlib import Path

import pytest

from confostain.errors import OptionError
from confostain.slide import Slide, open_slide
from confostain.viewer import folder_watcher
from confostain.viewer.folder_watcher import FolderWatcher, printable
from isolated_calls import open_as_named


class Scans:
    """A watched folder, scanned by hand, and the slides found so far."""

    def __init__(self, folder: Path, opener: Callable[[Path], Slide] = open_slide) -> None:
        self.found: list[Path] = []
        self.changes = 0
        self._watcher = FolderWatcher(folder, opener, self._take, self._changed)
        self._watcher.scan()

    def _changed(self) -> None:
        self.changes += 1

    def _take(self, slide: Slide, path: Path) -> None:
        slide.close()
        self.found.append(path)

    def again(self) -> list[Path]:
        self._watcher.scan()
        return self.found

    @property
    def refused(self) -> dict[str, str]:
        return {path.name: reason for path, reason in self._watcher.refusals.items()}

    def close(self) -> None:
        self._watcher.close()


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


@pytest.fixture
def watched(phantom_scan: Path, tmp_path: Path) -> Path:
    """A folder with one slide among whatever a test adds."""
    shutil.copytree(phantom_scan, tmp_path / "watched" / "mosaic")
    return tmp_path / "watched"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("contradicts.tif", "0.5 um/px given; expected 0.75"),
        ("unexpected.tif", "ZeroDivisionError: a fault of ours"),
        ("crash.tif", "needed more than 2048 MB, or ended the process"),
        ("greedy.tif", "needed more than 2048 MB, or ended the process"),
        ("notes.txt", "notes.txt: "),
    ],
)
def test_what_cannot_be_opened_is_refused_and_tried_again_when_it_changes(
    watched: Path, name: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    (watched / name).write_text("a")
    with closing(Scans(watched, open_as_named)) as scans:
        assert scans.again() == [watched / "mosaic"]
        assert reason in scans.refused[name]
        ((_, level, line),) = caplog.record_tuples
        assert level == logging.WARNING
        assert reason in line
        for _ in range(2):
            scans.again()
        assert (scans.changes, len(caplog.records)) == (1, 1)  # not tried, nor said, again
        (watched / name).write_text("a different one")
        scans.again()
        (watched / name).unlink()
        scans.again()
        assert scans.refused == {}


def test_a_refused_entry_is_shown_once_its_files_are_right(watched: Path) -> None:
    raw = watched / "mosaic" / "DET#2" / "highres_raw.tif"
    right = raw.read_bytes()
    raw.write_bytes(right[:5000])
    with closing(Scans(watched)) as scans:
        assert scans.again() == []
        assert "highres_raw.tif" in scans.refused["mosaic"]
        raw.write_bytes(right)
        scans.again()
        assert scans.again() == [watched / "mosaic"]
        assert scans.refused == {}


def test_what_never_opens_is_given_up(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watcher, "TRIAL_SECONDS", 0.1)
    (watched / "hang.tif").write_text("a")
    shutil.rmtree(watched / "mosaic")
    with closing(Scans(watched, open_as_named)) as scans:
        assert scans.again() == []
        assert "took longer than 0.1 s" in scans.refused["hang.tif"]


def fifo(watched: Path) -> None:
    (watched / "odd").mkdir()
    os.mkfifo(watched / "odd" / "785.png")


def unix_socket(watched: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, chdir(watched):  # its path may not be long
        listener.bind("odd")


def link_to_a_folder(watched: Path) -> None:
    (watched / "odd").symlink_to(watched.parents[1], target_is_directory=True)


def linked_channel(watched: Path) -> None:
    outside = watched.parent / "488.png"
    outside.write_bytes(b"")
    (watched / "odd").mkdir()
    (watched / "odd" / "488.png").symlink_to(outside)


def device(watched: Path) -> None:
    (watched / "odd").symlink_to("/dev/zero")


def many_files(watched: Path) -> None:
    (watched / "odd").mkdir()
    for number in range(9):
        (watched / "odd" / str(number)).touch()


@pytest.mark.skipif(os.name == "nt", reason="no such things on Windows")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (fifo, "785.png: neither a file nor a folder"),
        (unix_socket, "odd: neither a file nor a folder"),
        (link_to_a_folder, "odd: a link out of the watched folder"),
        (linked_channel, "488.png: a link out of the watched folder"),
        (device, "odd: a link out of the watched folder"),
        (many_files, "odd: more than 8 files"),
    ],
)
def test_only_regular_files_inside_the_folder_are_opened(
    watched: Path, make: Callable[[Path], None], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watcher, "MAX_FILES", 8)
    make(watched)
    with closing(Scans(watched)) as scans:
        assert scans.again() == [watched / "mosaic"]
        assert reason in scans.refused["odd"]


def test_links_inside_the_folder_are_followed_and_circles_are_not(watched: Path) -> None:
    (watched / "linked").symlink_to(watched / "mosaic", target_is_directory=True)
    (watched / "mosaic" / "circle").symlink_to(watched / "mosaic", target_is_directory=True)
    with closing(Scans(watched)) as scans:
        assert scans.again() == [watched / "linked", watched / "mosaic"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("scan 3\u00a0\u00b5m", "scan 3\u00a0\u00b5m"),
        ("a\x1b[2Jb\n", "a\ufffd[2Jb\ufffd"),
        ("\udcff\u202e", "\ufffd\ufffd"),
    ],
)
def test_names_are_shown_without_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


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
