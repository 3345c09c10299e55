"""HTTP routes of tiles: tiles and thumbnails of a layer, and how much of it is final."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Request, Response

from confostain.geometry import Size
from confostain.io.writers.pyramid import TILE, level_sizes
from confostain.viewer.dependencies import (
    UNKNOWN,
    UNREADABLE,
    RequestFocus,
    RequestLayer,
    RequestSlide,
    RequestTileService,
    RequestView,
    Responses,
)
from confostain.viewer.layer import Layer, TileIndex
from confostain.viewer.priority_executor import Task, View
from confostain.viewer.tile_service import EncodedTile, TileFormat, TileService

DISCONNECT_INTERVAL = 0.1  # s between checks whether a client that waits for a tile has disconnected
CACHING = {"Cache-Control": "private, no-cache"}  # the browser stores the tile and revalidates it by its ETag

Index = Annotated[int, Path(ge=0, le=1 << 24)]

IMAGE: Responses = {
    200: {
        "content": {"image/jpeg": {}, "image/png": {}},
        "description": "The tile. X-Confostain-Source says what computed its pixels.",
    },
    204: {"description": "Not rendered: the client has moved on to another view, or has disconnected."},
    304: {"description": "Not modified."},
}

router = APIRouter()


@router.get("/api/slides/{slide}/thumbnail/{layer}.jpg", responses=UNKNOWN | UNREADABLE | IMAGE)
async def thumbnail(
    request: Request, slide: RequestSlide, layer: RequestLayer, service: RequestTileService
) -> Response:
    """The whole slide in at most 256 x 256 pixels."""
    return await _respond(request, service, layer, TileIndex(len(level_sizes(slide.size)) - 1, 0, 0), "jpg")


@router.get("/api/slides/{slide}/tiles/{layer}/{level}/{column}_{row}.{form}", responses=UNKNOWN | UNREADABLE | IMAGE)
async def tile(
    request: Request,
    slide: RequestSlide,
    layer: RequestLayer,
    service: RequestTileService,
    level: Index,
    column: Index,
    row: Index,
    form: Literal["jpg", "png"],
    focus: RequestFocus,
    view: RequestView,
) -> Response:
    """One tile. Level 0 is full resolution, each next level half of the one before; png is lossless."""
    sizes, index = level_sizes(slide.size), TileIndex(level, column, row)
    if level >= len(sizes) or not _is_inside(index, sizes[level]):
        raise HTTPException(404, "there is no such tile; GET /api/slides gives the slide's size and levels")
    return await _respond(request, service, layer, index, form, focus, view)


@router.get("/api/slides/{slide}/status/{layer}", responses=UNKNOWN | UNREADABLE)
async def status(layer: RequestLayer, service: RequestTileService) -> dict[int, float]:
    """For each level, the fraction of the slide that shows final pixels instead of a preview.

    A request also marks the layer as looked at: the rest of it is computed while no client waits for a tile.
    """
    service.mark_active(layer)
    return dict(enumerate(layer.final_fractions()))


def _is_inside(index: TileIndex, level: Size) -> bool:
    return index.column * TILE < level.width and index.row * TILE < level.height


async def _respond(
    request: Request,
    service: TileService,
    layer: Layer,
    index: TileIndex,
    form: TileFormat,
    level0_focus: tuple[float, float] | None = None,
    view: View | None = None,
) -> Response:
    """Response with the tile, from the cache or rendered now."""
    etag = service.etag(layer, index, form)
    if request.headers.get("if-none-match") == etag:
        service.mark_active(layer, level0_focus)
        return Response(status_code=304, headers=CACHING | {"ETag": etag})
    tile = service.cached(etag)
    if tile is None:
        for task in service.tasks(layer, index, form, level0_focus, view):
            if not await _finished(request, service, task, view):
                return Response(status_code=204, headers={"Cache-Control": "no-store"})
            tile = task.future.result()
    assert isinstance(tile, EncodedTile)
    headers = CACHING | {"ETag": tile.etag, "X-Confostain-Source": tile.source}
    return Response(tile.data, media_type=f"image/{'png' if form == 'png' else 'jpeg'}", headers=headers)


async def _finished(request: Request, service: TileService, task: Task, view: View | None) -> bool:
    """Wait for a task; False if it was cancelled or the client has disconnected."""
    done = asyncio.wrap_future(task.future)
    while not done.done():
        await asyncio.wait({done}, timeout=DISCONNECT_INTERVAL)
        if not done.done() and await request.is_disconnected():
            service.executor.release(task, view)
            return False
    return not done.cancelled()
