"""Folder watcher: reports slides in a folder once their files are complete."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from confostain.errors import OptionError, SlideError
from confostain.slide import Slide

INTERVAL = 2.0  # s between scans; a slide is complete when no file of it changed from one scan to the next

FileStates = tuple[tuple[str, int, int], ...]  # name, bytes and modification time (ns) of each file


class FolderWatcher:
    """Scans one folder periodically. Each entry of the folder may be a slide: a file, or a folder of files."""

    def __init__(
        self,
        folder: Path,
        open_slide: Callable[[Path], Slide],
        on_slide: Callable[[Slide, Path], object],
        interval: float = INTERVAL,
    ) -> None:
        """Call `on_slide` for each entry of `folder` that `open_slide` can open.

        Raises OptionError if there is no such folder.
        """
        if not folder.is_dir():
            raise OptionError(f"{folder}: no such folder; give --watch the folder that the microscope writes to")
        self._folder = folder
        self._open_slide = open_slide
        self._on_slide = on_slide
        self._interval = interval
        self._seen: dict[Path, FileStates] = {}  # at the last scan
        self._tried: dict[Path, FileStates] = {}  # when it was opened, or could not be
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Scan in a thread from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop scanning."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def scan(self) -> None:
        """Look at each entry once, and report those that have become complete slides."""
        for path in _entries(self._folder):
            states = _file_states(path)
            is_unchanged = states == self._seen.get(path)
            self._seen[path] = states
            if is_unchanged and states and states != self._tried.get(path):
                self._tried[path] = states
                try:
                    slide = self._open_slide(path)
                except SlideError:
                    continue  # not a slide, or an incomplete one: tried again when its files have changed
                self._on_slide(slide, path)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.scan()
            self._stopped.wait(self._interval)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []  # a network share may be unavailable for a moment


def _file_states(path: Path) -> FileStates:
    files = [path] if path.is_file() else path.rglob("*")
    try:
        return tuple(
            (str(file), status.st_size, status.st_mtime_ns) for file in sorted(files) if (status := file.stat())
        )
    except OSError:
        return ()  # removed or renamed during the scan
