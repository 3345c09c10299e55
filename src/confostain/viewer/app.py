"""The HTTP interface of the viewer: what the page asks for, and what others may build on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

import confostain
from confostain.io.pyramid import TILE, level_sizes
from confostain.io.writing import RESEARCH_USE
from confostain.viewer.layers import Layer, Place
from confostain.viewer.library import CHANNELS, Entry, Library, stain_layers
from confostain.viewer.tiles import Tile, TileDesk
from confostain.viewer.workshop import View

STATIC = Path(__file__).parent / "static"
DISCONNECT_POLL = 0.1  # s between looks whether a client that waits has gone


def create_app(library: Library, token: str | None = None, is_local: bool = True) -> FastAPI:
    """The application, ready to be served."""
    desk = TileDesk()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.workshop.close()

    app = FastAPI(
        title="confostain view",
        version=confostain.__version__,
        description=RESEARCH_USE,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )

    def entry_of(id: str) -> Entry:
        if id not in library.entries:
            raise HTTPException(404, f"no slide is called {id!r}; GET /api/slides names those there are")
        return library.entries[id]

    async def layer_of(id: str, layer: str) -> Layer:
        layers = await asyncio.shield(asyncio.wrap_future(entry_of(id).layers))
        if layer not in layers:
            raise HTTPException(404, f"the slide has no layer {layer!r}; it has {', '.join(layers)}")
        return layers[layer]

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/api/slides")
    async def slides() -> list[dict[str, Any]]:
        """The slides there are."""
        return [_described(entry, library.model) for entry in library.entries.values()]

    async def answered(
        request: Request,
        id: str,
        layer_id: str,
        place: Place,
        form: Literal["jpg", "png"],
        focus: tuple[float, float] | None = None,
        view: View | None = None,
    ) -> Response:
        layer = await layer_of(id, layer_id)
        sizes = level_sizes(entry_of(id).size)
        if place.level >= len(sizes) or not _holds(sizes[place.level], place):
            raise HTTPException(404, "there is no such tile")
        etag = desk.etag(layer, place, form)
        desk.attend(layer, focus)
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
        tile = desk.kept(etag)
        if tile is None:
            tile = await _waited(request, desk, desk.order(layer, place, form, focus, view), view)
        if tile is None:
            return Response(status_code=204)
        return Response(
            tile.data,
            media_type="image/png" if form == "png" else "image/jpeg",
            headers={"ETag": tile.etag, "Cache-Control": "private, no-cache", "X-Confostain-Source": tile.source},
        )

    @app.get("/api/slides/{id}/thumbnail/{layer}.jpg")
    async def thumbnail(request: Request, id: str, layer: str) -> Response:
        """The whole slide as one small picture."""
        top = len(level_sizes(entry_of(id).size)) - 1
        return await answered(request, id, layer, Place(top, 0, 0), "jpg")

    @app.get("/api/slides/{id}/tiles/{layer}/{level}/{column}_{row}.{form}")
    async def tile(
        request: Request,
        id: str,
        layer: str,
        level: int,
        column: int,
        row: int,
        form: Literal["jpg", "png"],
        focus: Annotated[str | None, Query(pattern=r"^-?\d{1,7}(\.\d{0,3})?,-?\d{1,7}(\.\d{0,3})?$")] = None,
        view: Annotated[int | None, Query(ge=0, le=2**53)] = None,
        client: Annotated[str, Query(max_length=32)] = "",
    ) -> Response:
        """One tile of one layer."""
        centre = tuple(map(float, focus.split(","))) if focus else None
        wanted = None if view is None else View(client or _address(request), view)
        return await answered(request, id, layer, Place(level, column, row), form, centre, wanted)

    @app.get("/api/slides/{id}/status/{layer}")
    async def status(id: str, layer: str) -> dict[int, float]:
        """For each level, the share computed by the layer's own model."""
        one = await layer_of(id, layer)
        desk.attend(one)
        return dict(enumerate(one.painted()))

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _holds(size: Any, place: Place) -> bool:
    return 0 <= place.column * TILE < size.width and 0 <= place.row * TILE < size.height


async def _waited(request: Request, desk: TileDesk, order: Any, view: View | None) -> Tile | None:
    done = asyncio.wrap_future(order.future)
    while not done.done():
        await asyncio.wait({done}, timeout=DISCONNECT_POLL)
        if not done.done() and await request.is_disconnected():
            desk.workshop.leave(order, view)
            return None
    return None if done.cancelled() else done.result()


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _described(entry: Entry, model: str) -> dict[str, Any]:
    size = entry.size
    ready = entry.layers.done() and entry.layers.exception() is None
    confocal = entry.kind == "confocal"
    infos = (
        [*stain_layers(model), *(info for info, _ in CHANNELS)]
        if confocal
        else [layer.info for layer in entry.layers.result().values()]
    )
    return {
        "id": entry.id,
        "name": entry.name,
        "kind": entry.kind,
        "width": size.width,
        "height": size.height,
        "microns_per_pixel": entry.slide.microns_per_pixel,
        "tile": TILE,
        "levels": len(level_sizes(size)),
        "layers": [vars(info) for info in infos],
        "models": [info.id for info in infos if info.kind == "stain"],
        "ready": ready,
        "tissue_share": entry.slide.tissue.share if ready and confocal else None,
        "label": f"digitally stained: {model}" if confocal else "H&E",
    }
