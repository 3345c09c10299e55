"""Finds the slides in a folder, once nobody is writing them any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from confostain.errors import OptionError, SlideError
from confostain.slide import Slide

INTERVAL = 2.0  # s between looks; a slide is taken when all its files have stayed the same from one to the next

Traces = tuple[tuple[str, int, int], ...]  # name, bytes and time of change of each file


class Watcher:
    """Looks into one folder again and again. Each entry of it may be a slide: a file, or a folder of files."""

    def __init__(
        self,
        folder: Path,
        open_: Callable[[Path], Slide],
        found: Callable[[Slide, Path], object],
        interval: float = INTERVAL,
    ) -> None:
        """Call `found` for everything in `folder` that `open_` takes for a slide.

        Raises OptionError where there is no such folder.
        """
        if not folder.is_dir():
            raise OptionError(f"{folder}: no such folder; give --watch the one the microscope writes to")
        self._folder = folder
        self._open = open_
        self._found = found
        self._interval = interval
        self._seen: dict[Path, Traces] = {}  # as of the last look
        self._done: dict[Path, Traces] = {}  # found to be a slide, or to be none
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._look()
            self._stopped.wait(self._interval)

    def _look(self) -> None:
        for path in _entries(self._folder):
            traces = _traces(path)
            is_still = traces == self._seen.get(path)
            self._seen[path] = traces
            if is_still and traces and traces != self._done.get(path):
                self._done[path] = traces
                try:
                    slide = self._open(path)
                except SlideError:
                    continue  # no slide, or not yet a whole one: looked at again when it has changed
                self._found(slide, path)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []  # a share that is away for a moment


def _traces(path: Path) -> Traces:
    files = [path] if path.is_file() else path.rglob("*")
    try:
        return tuple(
            (str(file), status.st_size, status.st_mtime_ns) for file in sorted(files) if (status := file.stat())
        )
    except OSError:
        return ()  # removed or renamed under our eyes
