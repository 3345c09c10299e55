"""HTTP routes of the viewed area: the record of what has been seen of a slide, and the slide's tissue mask."""

from __future__ import annotations

import asyncio
from typing import Annotated

import imagecodecs
import numpy as np
from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool

from confostain.arrays import Mask
from confostain.slide import Slide
from confostain.viewer.dependencies import UNKNOWN, UNREADABLE, RequestSlide, Responses
from confostain.viewer.slide_routes import GEOJSON, WRITTEN, replace_features

MASK: Responses = {
    200: {"content": {"image/png": {}}, "description": "The mask. X-Confostain-Cell is the side of a cell."}
}

router = APIRouter()


@router.get("/api/slides/{slide}/viewed", responses=UNKNOWN | UNREADABLE)
def read_viewed(slide: RequestSlide) -> Response:
    """Views that somebody looked at, as GeoJSON polygons in level-0 pixels; the ETag as for annotations."""
    data, etag = slide.viewed.read()
    return Response(data, media_type="application/geo+json", headers={"ETag": etag, "Cache-Control": "no-store"})


@router.put("/api/slides/{slide}/viewed", responses=WRITTEN, openapi_extra={"requestBody": GEOJSON})
async def write_viewed(
    slide: RequestSlide, request: Request, response: Response, if_match: Annotated[str | None, Header()] = None
) -> dict[str, int]:
    """Replace the record of views by a GeoJSON FeatureCollection."""
    return await replace_features(slide.viewed, request, response, if_match)


@router.get("/api/slides/{slide}/tissue.png", responses=UNKNOWN | UNREADABLE | MASK)
async def tissue(slide: RequestSlide) -> Response:
    """Tissue mask of a confocal slide: one pixel for each cell, 255 on tissue, 0 on glass."""
    await asyncio.shield(asyncio.wrap_future(slide.layers))
    if not isinstance(slide.slide, Slide):
        raise HTTPException(404, "an H&E slide has no tissue mask; expected a confocal slide")
    mask = slide.slide.tissue
    data = await run_in_threadpool(_png, mask.cells)
    return Response(
        data, media_type="image/png", headers={"X-Confostain-Cell": str(mask.cell), "Cache-Control": "no-store"}
    )


def _png(cells: Mask) -> bytes:
    return bytes(imagecodecs.png_encode(cells.astype(np.uint8) * np.uint8(255)))
