"""FastAPI dependencies of the viewer: slide, layer, view and focus of a request; errors that routes document."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Header, HTTPException, Path, Request

from confostain.viewer.layer import Layer
from confostain.viewer.library import Library, SlideEntry
from confostain.viewer.priority_executor import View
from confostain.viewer.tile_service import TileService

SlideId = Annotated[str, Path(max_length=32, description="as /api/slides names it")]
LayerId = Annotated[str, Path(max_length=64, description="as /api/slides names it")]
Responses = dict[int | str, dict[str, Any]]

UNKNOWN: Responses = {404: {"description": "There is no such slide, layer or tile."}}
UNREADABLE: Responses = {409: {"description": "A file is damaged, cannot be written, or has unexpected contents."}}

# Coroutines although they await little: FastAPI would run plain functions in another thread each.


async def _library(request: Request) -> Library:
    return request.app.state.library


async def _tile_service(request: Request) -> TileService:
    return request.app.state.tile_service


async def _slide(slide: SlideId, library: Annotated[Library, Depends(_library)]) -> SlideEntry:
    if slide not in library.entries:
        raise HTTPException(404, "no slide has this id; expected one that GET /api/slides lists")
    return library.entries[slide]


async def _layer(layer: LayerId, entry: Annotated[SlideEntry, Depends(_slide)]) -> Layer:
    layers = await asyncio.shield(asyncio.wrap_future(entry.layers))
    if layer not in layers:
        raise HTTPException(404, f"the slide has no such layer; expected one of {', '.join(layers)}")
    return layers[layer]


async def _view(
    x_confostain_client: Annotated[str, Header(max_length=64)] = "",
    x_confostain_view: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> View | None:
    """View of the client, numbered: its requests for views with a smaller number are dropped."""
    return None if x_confostain_view is None else View(x_confostain_client, x_confostain_view)


async def _focus(
    x_confostain_focus: Annotated[str | None, Header(pattern=r"^-?\d{1,7}(\.\d*)?,-?\d{1,7}(\.\d*)?$")] = None,
) -> tuple[float, float] | None:
    """Centre of the client's view, "x,y" in level-0 pixels: the tiles nearest to it come first."""
    if x_confostain_focus is None:
        return None
    x, y = map(float, x_confostain_focus.split(","))
    return x, y


RequestLibrary = Annotated[Library, Depends(_library)]
RequestSlide = Annotated[SlideEntry, Depends(_slide)]
RequestLayer = Annotated[Layer, Depends(_layer)]
RequestTileService = Annotated[TileService, Depends(_tile_service)]
RequestView = Annotated[View | None, Depends(_view)]
RequestFocus = Annotated[tuple[float, float] | None, Depends(_focus)]
