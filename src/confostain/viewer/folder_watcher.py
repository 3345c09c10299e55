"""Folder watcher: reports slides in a folder once their files are complete, and why other entries are refused."""

from __future__ import annotations

import logging
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from confostain.errors import ConfostainError, OptionError, SlideError
from confostain.io.writers.output import printable
from confostain.slide import Slide
from confostain.viewer.annotations import SUFFIX, VIEWED_SUFFIX
from confostain.viewer.isolated_process import IsolatedCallError, IsolatedProcess
from confostain.viewer.overlays import FEATURES_SUFFIX, MAPS_SUFFIX

SIDECARS = (SUFFIX, VIEWED_SUFFIX, FEATURES_SUFFIX, MAPS_SUFFIX)  # endings of what lies beside slides

INTERVAL = 2.0  # s between scans; a slide is complete when no file of it changed from one scan to the next
REST = 4  # times the duration of a scan, at least, between scans: those of slow folders take a fifth of the time
TRIAL_SECONDS = 120.0  # s for opening and surveying an entry, which takes seconds
TRIAL_MEMORY = 2 << 30  # bytes for the same
MAX_FILES = 100_000  # of an entry


FileStates = tuple[tuple[str, int, int], ...]  # name, bytes and modification time (ns) of each file

log = logging.getLogger(__name__)


class FolderWatcher:
    """Scans one folder periodically. Each entry of the folder may be a slide: a file, or a folder of files.

    An entry is opened and surveyed in an isolated process first, so that no file can harm this one.

    Attributes:
        refusals: why entries are not shown, by their paths. They are tried again when their files change.
    """

    def __init__(
        self,
        folder: Path,
        open_slide: Callable[[Path], Slide],
        on_slide: Callable[[Slide, Path], object],
        on_refusal: Callable[[], object] = lambda: None,
        interval: float = INTERVAL,
    ) -> None:
        """Call `on_slide` for each entry of `folder` that `open_slide` (picklable) can open.

        `on_refusal` is called when `refusals` has changed. Raises OptionError if there is no such folder.
        """
        if not folder.is_dir():
            raise OptionError(f"{folder}: no such folder; give --watch the folder that the microscope writes to")
        self.refusals: dict[Path, str] = {}
        self._folder = folder
        self._open_slide = open_slide
        self._on_slide = on_slide
        self._on_refusal = on_refusal
        self._interval = interval
        self._isolated = IsolatedProcess(TRIAL_SECONDS, TRIAL_MEMORY)
        self._seen: dict[Path, FileStates] = {}  # at the last scan
        self._tried: dict[Path, FileStates] = {}  # when it was opened, or could not be
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Scan in a thread from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop scanning, and end the trial in progress."""
        self._stopped.set()
        self._isolated.close()
        if self._thread.is_alive():
            self._thread.join()

    def scan(self) -> None:
        """Look at each entry once, and report those that have become complete slides."""
        paths = _entries(self._folder)
        for gone in self.refusals.keys() - set(paths):
            self._refuse(gone, None)
        for path in paths:
            if self._stopped.is_set():
                return
            self._look_at(path)

    def _look_at(self, path: Path) -> None:
        try:
            states = _file_states(path, self._folder.resolve())
        except OSError:
            return  # removed or renamed during the scan
        except SlideError as error:
            self._refuse(path, str(error))
            return
        is_unchanged = states == self._seen.get(path)
        self._seen[path] = states
        if is_unchanged and states and states != self._tried.get(path):
            self._tried[path] = states
            self._refuse(path, self._reason_against(path))

    def _reason_against(self, path: Path) -> str | None:
        """Report the slide at `path`; the reason where that is impossible."""
        try:
            self._isolated.call(_trial, self._open_slide, path)
            self._on_slide(self._open_slide(path), path)
        except ConfostainError as error:
            return str(error)
        except IsolatedCallError as error:
            return f"{path.name}: opening it {error}; expected a slide that can be read; export it again"
        except Exception as error:  # of a library, at contents that nobody foresaw
            return f"{path.name}: cannot be opened ({type(error).__name__}: {error}); export it again"
        return None

    def _refuse(self, path: Path, reason: str | None) -> None:
        """Note why an entry is not shown; None where it is, or is gone."""
        if self._stopped.is_set() or self.refusals.get(path) == reason:
            return
        others = {other: known for other, known in self.refusals.items() if other != path}
        self.refusals = others if reason is None else others | {path: reason}  # at once: other threads read it
        if reason is not None:
            log.warning("%s is not shown: %s", printable(path.name), printable(reason))
        self._on_refusal()

    def _run(self) -> None:
        while not self._stopped.is_set():
            begin = time.monotonic()
            self.scan()
            self._stopped.wait(max(self._interval, REST * (time.monotonic() - begin)))


def _trial(open_slide: Callable[[Path], Slide], path: Path) -> None:
    """Open a slide and measure what is measured once per slide; raises what goes wrong."""
    with open_slide(path) as slide:
        slide.overview  # noqa: B018


def _entries(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []  # a network share may be unavailable for a moment
    return [path for path in paths if not (path.name.startswith(".") or path.name.endswith(SIDECARS))]


def _file_states(entry: Path, watched: Path) -> FileStates:
    """States of all files of an entry; links are followed inside the watched folder only.

    Raises:
        SlideError: the entry holds a link that leads elsewhere, something that is neither file nor folder, or too much.
        OSError: it changes just now.
    """
    states: list[tuple[str, int, int]] = []
    folders: set[tuple[int, int]] = set()  # links may lead in circles
    pending = [entry]
    while pending:
        path = pending.pop()
        if path.is_symlink() and not path.resolve().is_relative_to(watched):
            raise SlideError(
                f"{path.name}: a link out of the watched folder; expected files inside it; copy them there"
            )
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            states.append((str(path), status.st_size, status.st_mtime_ns))
        elif not stat.S_ISDIR(status.st_mode):
            raise SlideError(f"{path.name}: neither a file nor a folder; expected image files; remove it")
        elif (status.st_dev, status.st_ino) not in folders:
            folders.add((status.st_dev, status.st_ino))
            pending.extend(path.iterdir())
        if len(states) + len(pending) > MAX_FILES:
            raise SlideError(f"{entry.name}: more than {MAX_FILES} files; expected one slide; watch the folder inside")
    return tuple(sorted(states))
