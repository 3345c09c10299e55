"""Annotations of a slide: one GeoJSON file beside it, in the form that QuPath uses, coordinates in level-0 pixels.

The file holds what the page, or another program, has written, byte for byte.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from confostain.errors import OutputError, SlideError
from confostain.io.writers.output import complete_or_absent
from confostain.viewer.isolated_process import IsolatedCallError

SUFFIX = ".annotations.geojson"  # of the file beside a slide
MAX_BYTES = 8 << 20  # 20,000 cells of 40 corners each
LOCK_SECONDS = 10.0  # s to wait for another writer, which takes milliseconds
EMPTY = b'{"type": "FeatureCollection", "features": []}'


class VersionConflict(Exception):
    """The file was written since the version that the writer knows."""


class AnnotationFile:
    """GeoJSON file of one slide. A reader finds it complete at any time.

    Writers take turns, those of other processes included, by a lock on a hidden file beside it. The lock of a process
    that has ended is free. The hidden file stays: were it removed, two writers could hold locks on two files.
    """

    def __init__(self, slide: Path, check: Callable[[bytes], int]) -> None:
        """Use the file beside the slide at this path.

        `check` returns the number of features in such a file, or raises ValueError or IsolatedCallError.
        """
        slide = slide.resolve()
        self.path = slide.with_name(slide.name + SUFFIX)
        self.lock_path = self.path.with_name(f".{self.path.name}.lock")
        self._check = check
        self._known = (EMPTY, _etag(EMPTY))  # contents last read or written, which are valid
        self._lock = threading.Lock()

    def read(self) -> tuple[bytes, str]:
        """Contents and ETag of the file; an empty collection if there is no file.

        Raises SlideError if the file is no GeoJSON FeatureCollection, or too large.
        """
        with self._lock:  # readers share one copy of the contents
            data = self._contents()
            etag = _etag(data)
            if etag != self._known[1]:
                try:
                    self._check(data)
                except (ValueError, IsolatedCallError) as error:
                    raise SlideError(
                        f"{self.path.name}: no annotations in GeoJSON ({error}); repair the file or move it away"
                    ) from error
                self._known = (data, etag)
            return self._known

    def write(self, data: bytes, known: str) -> tuple[int, str]:
        """Replace the file if `known` is its ETag; returns the number of features and the new ETag.

        Raises:
            VersionConflict: the file has another ETag.
            ValueError: `data` is no GeoJSON FeatureCollection.
            OutputError: the folder cannot be written, or another process holds the lock for long.
        """
        try:
            features = self._check(data)
        except IsolatedCallError as error:
            raise ValueError(f"checking it {error}") from error
        with self._locked():
            if self.read()[1] != known:
                raise VersionConflict
            with complete_or_absent(self.path, overwrite=True) as partial:
                partial.write_bytes(data)
        with self._lock:
            self._known = (data, _etag(data))
        return features, _etag(data)

    def _contents(self) -> bytes:
        try:
            if not self.path.exists():
                return EMPTY
            if not self.path.is_file():
                raise SlideError(f"{self.path.name}: no regular file; expected annotations in GeoJSON; move it away")
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise SlideError(f"{self.path.name}: cannot be read ({error.strerror})") from error
        if len(data) > MAX_BYTES:
            raise SlideError(f"{self.path.name}: larger than {MAX_BYTES >> 20} MB; expected less; move it away")
        return data

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclusive access of one writer. Each call opens the lock file anew, so that it excludes other threads too."""
        lock = FileLock(self.lock_path, timeout=LOCK_SECONDS, mode=0o666)  # servers may run under several users
        try:
            lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self.path.name}: another program has locked it for {LOCK_SECONDS:g} s; try again, or end that one"
            ) from error
        except (OSError, NotImplementedError) as error:  # the latter where the file system has no locks
            raise OutputError(f"{self.path.name}: cannot be locked for writing ({error})") from error
        try:
            yield
        finally:
            lock.release()


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'
