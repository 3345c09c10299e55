"""What people draw on a slide: one GeoJSON file beside it, in QuPath's dialect, complete after every change.

Coordinates are pixels of level 0. Everything a feature says is kept as it came; only what would make the file
useless to others is refused.
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

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Position = Annotated[list[Number], Field(min_length=2, max_length=3)]
Line = Annotated[list[Position], Field(min_length=2)]
Ring = Annotated[list[Position], Field(min_length=4)]
Polygon = Annotated[list[Ring], Field(min_length=1)]


class _Geometry(BaseModel):
    model_config = ConfigDict(extra="allow")


class PointGeometry(_Geometry):
    """One position."""

    type: Literal["Point"]
    coordinates: Position


class MultiPointGeometry(_Geometry):
    """Several positions."""

    type: Literal["MultiPoint"]
    coordinates: Annotated[list[Position], Field(min_length=1)]


class LineGeometry(_Geometry):
    """A line."""

    type: Literal["LineString"]
    coordinates: Line


class MultiLineGeometry(_Geometry):
    """Several lines."""

    type: Literal["MultiLineString"]
    coordinates: Annotated[list[Line], Field(min_length=1)]


class PolygonGeometry(_Geometry):
    """An outline, and its holes."""

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


class Outdated(Exception):
    """Somebody else has written since the version that the writer knows."""


class AnnotationFile:
    """The annotations of one slide."""

    def __init__(self, slide: Path) -> None:
        """Keep them beside the slide at that path."""
        slide = slide.resolve()
        self.path = slide.with_name(f"{slide.name}.annotations.geojson")
        self._lock = threading.Lock()

    def read(self) -> tuple[bytes, str]:
        """The file, and the tag of its version.

        Raises SlideError where something else lies under its name.
        """
        data = self.path.read_bytes() if self.path.exists() else EMPTY
        try:
            collection = json.loads(data)
        except ValueError as error:
            raise SlideError(f"{self.path.name}: not JSON ({error}); mend the file or move it away") from error
        if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
            raise SlideError(f"{self.path.name}: no GeoJSON FeatureCollection; export it again or move it away")
        return data, _tag(data)

    def write(self, collection: dict[str, Any], known: str) -> str:
        """Replace the file if its version is the one the writer knows; returns the new version's tag.

        Raises Outdated where it is not, ValueError for numbers that JSON does not have, OutputError where the
        folder cannot be written.
        """
        data = json.dumps(collection, allow_nan=False).encode()
        with self._lock:
            if self.read()[1] != known:
                raise Outdated
            try:
                with complete_or_absent(self.path, overwrite=True) as partial:
                    partial.write_bytes(data)
            except OSError as error:
                raise OutputError(f"{self.path.name}: cannot be written ({error.strerror})") from error
        return _tag(data)


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'
