"""HTTP routes of overlays: what there is for a slide, features as GeoJSON, and maps as pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Response

from confostain.io.readers.plane import MOST_CHANNELS
from confostain.viewer.dependencies import UNKNOWN, UNREADABLE, RequestSlide, Responses
from confostain.viewer.overlays import Overlay

PICTURE: Responses = {
    200: {"content": {"image/png": {}}, "description": "Grey and alpha: value * 255 or label; transparent if unknown."}
}
FRESH = {"Cache-Control": "no-store"}

router = APIRouter()


def _overlay(slide: RequestSlide, overlay: Annotated[str, Path(max_length=32)]) -> Overlay:
    found = slide.overlays.find(overlay)
    if found is None:
        raise HTTPException(404, "the slide has no such overlay; expected one that .../overlays lists")
    return found


RequestOverlay = Annotated[Overlay, Depends(_overlay)]
Channel = Annotated[int, Path(ge=0, lt=MOST_CHANNELS)]


@router.get("/api/slides/{slide}/overlays", responses=UNKNOWN)
def overlays(slide: RequestSlide) -> list[dict[str, object]]:
    """Overlays of a slide; the channels of maps with their places in level-0 pixels, or the problem."""
    own = slide.overlays
    return [own.describe(one, slide.size, slide.slide.microns_per_pixel) for one in own.found()]


@router.get("/api/slides/{slide}/overlays/{overlay}/features", responses=UNKNOWN | UNREADABLE)
def features(slide: RequestSlide, overlay: RequestOverlay) -> Response:
    """Features of an overlay as GeoJSON, in level-0 pixels."""
    if overlay.is_map:
        raise HTTPException(404, "the overlay is a map; expected one of features")
    return Response(slide.overlays.features(overlay), media_type="application/geo+json", headers=FRESH)


@router.get("/api/slides/{slide}/overlays/{overlay}/{channel}.png", responses=UNKNOWN | UNREADABLE | PICTURE)
def map_picture(slide: RequestSlide, overlay: RequestOverlay, channel: Channel) -> Response:
    """One channel of a map."""
    if not overlay.is_map:
        raise HTTPException(404, "the overlay holds features; expected a map")
    return Response(slide.overlays.map_png(overlay, channel), media_type="image/png", headers=FRESH)
