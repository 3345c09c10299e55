"""Schema of annotations: GeoJSON as QuPath writes it, with everything that the page relies on.

Members that are not named here may hold anything. The models are our own: those of geojson-pydantic accept infinite
coordinates and null geometries, and refuse polygons that are not closed and features without properties.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import from_json

MAX_FEATURES = 20_000

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Position = Annotated[list[Coordinate], Field(min_length=2, max_length=3)]
Line = Annotated[list[Position], Field(min_length=2), FailFast()]
Ring = Annotated[list[Position], Field(min_length=4), FailFast()]
Polygon = Annotated[list[Ring], Field(min_length=1), FailFast()]
Word = Annotated[str, Field(max_length=200)]
Colour = Annotated[int, Field(ge=0, le=255)]
Part = TypeVar("Part", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)


class PointGeometry(_Part):
    """A position."""

    type: Literal["Point"]
    coordinates: Position


class MultiPointGeometry(_Part):
    """Several positions."""

    type: Literal["MultiPoint"]
    coordinates: Annotated[list[Position], Field(min_length=1), FailFast()]


class LineGeometry(_Part):
    """A path of two or more positions."""

    type: Literal["LineString"]
    coordinates: Line


class MultiLineGeometry(_Part):
    """Several paths."""

    type: Literal["MultiLineString"]
    coordinates: Annotated[list[Line], Field(min_length=1), FailFast()]


class PolygonGeometry(_Part):
    """An outer ring, and the rings of its holes."""

    type: Literal["Polygon"]
    coordinates: Polygon


class MultiPolygonGeometry(_Part):
    """Several polygons."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Polygon], Field(min_length=1), FailFast()]


Geometry = (
    PointGeometry | MultiPointGeometry | LineGeometry | MultiLineGeometry | PolygonGeometry | MultiPolygonGeometry
)


class Classification(_Part):
    """A class of annotations, and its colour."""

    name: Word | None = None
    names: Annotated[list[Word], Field(max_length=20)] | None = None
    color: Annotated[list[Colour], Field(min_length=3, max_length=3)] | None = None


class Metadata(_Part):
    """How the page drew an annotation, who drew and who changed it, and when (UTC, as ISO 8601 writes it).

    Every value is a text, as QuPath keeps them.
    """

    kind: Word | None = None
    centre: Word | None = None
    twelve: Word | None = None
    clockwise: Word | None = None
    shape: Word | None = None
    author: Word | None = None
    created: Word | None = None
    changedBy: Word | None = None
    changed: Word | None = None


class Properties(_Part):
    """What is known of an annotation."""

    name: Annotated[str, Field(max_length=1000)] | None = None
    classification: Classification | None = None
    isLocked: bool | None = None
    metadata: Metadata | None = None


class Feature(_Part):
    """One annotation."""

    type: Literal["Feature"]
    id: Word | int | None = None
    geometry: Annotated[Geometry, Field(discriminator="type")]
    properties: Properties | None = None


class FeatureCollection(_Part):
    """All annotations of one slide."""

    type: Literal["FeatureCollection"]
    features: Annotated[list[Any], Field(max_length=MAX_FEATURES)]


def check_annotations(data: bytes) -> int:
    """Number of features of a GeoJSON FeatureCollection in UTF-8; at most 200 levels deep, as pydantic reads JSON.

    Raises ValueError, with the place and the reason, if `data` is anything else.
    """
    collection = from_json(data.removeprefix(BOM_UTF8), allow_inf_nan=False)
    features = _checked(FeatureCollection, collection, "the whole").features
    for number, feature in enumerate(features):  # one after the other: a checked copy of all would double the memory
        _checked(Feature, feature, f"features.{number}")
    return len(features)


def _checked(model: type[Part], value: object, place: str) -> Part:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ValueError(f"{'.'.join(map(str, (place, *first['loc'])))}: {first['msg']}") from None
