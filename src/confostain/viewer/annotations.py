"""Annotations of a slide: one GeoJSON file beside it, in the form that QuPath uses, coordinates in level-0 pixels.

The file holds what the page, or another program, has written, byte for byte.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from confostain.errors import SlideError
from confostain.io.writers.atomic import complete_or_absent
from confostain.viewer.file_lock import locked
from confostain.viewer.isolated_process import IsolatedCallError

SUFFIX = ".annotations.geojson"  # of the file beside a slide
VIEWED_SUFFIX = ".viewed.geojson"  # of the record of what has been seen of it
MAX_BYTES = 8 << 20  # 20,000 cells of 40 corners each
EMPTY = b'{"type": "FeatureCollection", "features": []}'


class VersionConflict(Exception):
    """The file was written since the version that the writer knows."""


class AnnotationFile:
    """GeoJSON file of one slide. A reader finds it complete at any time.

    Writers take turns, those of other processes included.
    """

    def __init__(self, slide: Path, check: Callable[[bytes], int], suffix: str = SUFFIX) -> None:
        """Use the file beside the slide at this path, named as the slide with `suffix`.

        `check` returns the number of features in such a file, or raises ValueError or IsolatedCallError.
        """
        slide = slide.resolve()
        self.path = slide.with_name(slide.name + suffix)
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
        with locked(self.path):
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
        except OSError as error:
            raise SlideError(f"{self.path.name}: cannot be read ({error.strerror})") from error
        return read_limited(self.path)


def read_limited(path: Path) -> bytes:
    """Contents of a file of features, at most MAX_BYTES.

    Raises SlideError if it is larger, or cannot be read.
    """
    try:
        if not path.is_file():
            raise SlideError(f"{path.name}: no regular file; expected features in GeoJSON; move it away")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SlideError(f"{path.name}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise SlideError(f"{path.name}: larger than {MAX_BYTES >> 20} MB; expected less; move it away")
    return data


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'
