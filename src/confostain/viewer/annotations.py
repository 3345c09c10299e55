"""Annotations of a slide: one GeoJSON file beside it, in the form that QuPath uses, coordinates in level-0 pixels.

All members of a feature are kept, also those that GeoJSON does not name. Refused is only what would make the file
useless to other programs. The models are our own: those of geojson-pydantic drop the members of a geometry that
they do not know (QuPath's plane), accept infinite coordinates and null geometries, and refuse polygons that are not
closed and features without properties.
"""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from confostain.errors import OutputError, SlideError
from confostain.io.writers.output import complete_or_absent

MAX_FEATURES = 20_000
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
    """GeoJSON file of one slide. A reader finds it complete at any time."""

    def __init__(self, slide: Path) -> None:
        """Use the file beside the slide at this path."""
        slide = slide.resolve()
        self.path = slide.with_name(f"{slide.name}.annotations.geojson")
        self._lock = threading.Lock()

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
            OutputError: the folder cannot be written.
        """
        data = json.dumps(collection, allow_nan=False).encode()
        with self._lock:
            if self.read()[1] != known:
                raise VersionConflict
            try:
                with complete_or_absent(self.path, overwrite=True) as partial:
                    partial.write_bytes(data)
            except OSError as error:
                raise OutputError(f"{self.path.name}: cannot be written ({error.strerror})") from error
        return _etag(data)


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'
