"""Annotations of a slide: one GeoJSON file beside it, in the form that QuPath uses, coordinates in level-0 pixels.

All members of a feature are kept, also those that GeoJSON does not name. Refused is only what would make the file
useless to other programs. The models are our own: those of geojson-pydantic drop the members of a geometry that
they do not know (QuPath's plane), accept infinite coordinates and null geometries, and refuse polygons that are not
closed and features without properties.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from confostain.errors import OutputError, SlideError
from confostain.io.writers.output import complete_or_absent

SUFFIX = ".annotations.geojson"  # of the file beside a slide
MAX_FEATURES = 20_000
LOCK_SECONDS = 10.0  # s to wait for another writer, which takes milliseconds
EMPTY = b'{"type": "FeatureCollection", "features": []}'

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Position = Annotated[list[Coordinate], Field(min_length=2, max_length=3)]
Line = Annotated[list[Position], Field(min_length=2)]
Ring = Annotated[list[Position], Field(min_length=4)]
Polygon = Annotated[list[Ring], Field(min_length=1)]


class _Geometry(BaseModel):
    model_config = ConfigDict(extra="allow")


class PointGeometry(_Geometry):
    """A position."""

    type: Literal["Point"]
    coordinates: Position


class MultiPointGeometry(_Geometry):
    """Several positions."""

    type: Literal["MultiPoint"]
    coordinates: Annotated[list[Position], Field(min_length=1)]


class LineGeometry(_Geometry):
    """A path of two or more positions."""

    type: Literal["LineString"]
    coordinates: Line


class MultiLineGeometry(_Geometry):
    """Several paths."""

    type: Literal["MultiLineString"]
    coordinates: Annotated[list[Line], Field(min_length=1)]


class PolygonGeometry(_Geometry):
    """An outer ring, and the rings of its holes."""

    type: Literal["Polygon"]
    coordinates: Polygon


class MultiPolygonGeometry(_Geometry):
    """Several polygons."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Polygon], Field(min_length=1)]


Geometry = (
    PointGeometry | MultiPointGeometry | LineGeometry | MultiLineGeometry | PolygonGeometry | MultiPolygonGeometry
)


class Feature(BaseModel):
    """One annotation."""

    model_config = ConfigDict(extra="allow")
    type: Literal["Feature"]
    id: str | int | None = None
    geometry: Annotated[Geometry, Field(discriminator="type")]
    properties: dict[str, Any] | None = None


class FeatureCollection(BaseModel):
    """All annotations of one slide."""

    model_config = ConfigDict(extra="allow")
    type: Literal["FeatureCollection"]
    features: Annotated[list[Feature], Field(max_length=MAX_FEATURES)]


class VersionConflict(Exception):
    """The file was written since the version that the writer knows."""


class AnnotationFile:
    """GeoJSON file of one slide. A reader finds it complete at any time.

    Writers take turns, those of other processes included, by a lock on a hidden file beside it. The lock of a process
    that has ended is free. The hidden file stays: were it removed, two writers could hold locks on two files.
    """

    def __init__(self, slide: Path) -> None:
        """Use the file beside the slide at this path."""
        slide = slide.resolve()
        self.path = slide.with_name(slide.name + SUFFIX)
        self.lock_path = self.path.with_name(f".{self.path.name}.lock")

    def read(self) -> tuple[bytes, str]:
        """Contents and ETag of the file; an empty collection if there is no file.

        Raises SlideError if the file is not a GeoJSON FeatureCollection.
        """
        data = self.path.read_bytes() if self.path.exists() else EMPTY
        try:
            collection = json.loads(data)
        except ValueError as error:
            raise SlideError(f"{self.path.name}: not JSON ({error}); repair the file or move it away") from error
        if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
            raise SlideError(f"{self.path.name}: not a GeoJSON FeatureCollection; export it again or move it away")
        return data, _etag(data)

    def write(self, collection: dict[str, Any], known: str) -> str:
        """Replace the file if `known` is its ETag; returns the new ETag.

        Raises:
            VersionConflict: the file has another ETag.
            ValueError: `collection` holds numbers that JSON has not.
            OutputError: the folder cannot be written, or another process holds the lock for long.
        """
        data = json.dumps(collection, allow_nan=False).encode()
        with self._locked():
            if self.read()[1] != known:
                raise VersionConflict
            with complete_or_absent(self.path, overwrite=True) as partial:
                partial.write_bytes(data)
        return _etag(data)

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
