"""The HTTP interface of the viewer: what the page asks for, and what others may build on (see /openapi.json)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

import confostain
from confostain.errors import ConfostainError
from confostain.geometry import Size
from confostain.io.writers.pyramid import TILE, level_sizes
from confostain.viewer.annotations import FeatureCollection, Outdated
from confostain.viewer.guard import Guard
from confostain.viewer.layers import Layer, Place
from confostain.viewer.library import Entry, Library
from confostain.viewer.priority_executor import Order, View
from confostain.viewer.tile_service import Format, Tile, TileService

STATIC = FilePath(__file__).parent / "static"
LOOK_AGAIN = 0.1  # s between looks whether a client that waits for a tile has gone
KEEP_ALIVE = 15.0  # s between comments in the stream of events, so that nothing in between closes it
CACHING = {"Cache-Control": "private, no-cache"}  # kept by the browser, and asked for again by its tag

SlideId = Annotated[str, Path(max_length=32, description="as /api/slides names it")]
LayerId = Annotated[str, Path(max_length=64, description="as /api/slides names it")]
Index = Annotated[int, Path(ge=0, le=1 << 24)]
Responses = dict[int | str, dict[str, Any]]

UNKNOWN: Responses = {404: {"description": "There is no such slide, layer or tile."}}
UNREADABLE: Responses = {409: {"description": "A file is damaged, cannot be written, or is not what it should be."}}
PICTURE: Responses = {
    200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The tile. X-Confostain-Source says what of."},
    204: {"description": "Not rendered: the client has moved on, or has gone."},
    304: {"description": "As the client knows it."},
}


def create_app(library: Library, token: str | None = None, is_local: bool = True) -> FastAPI:
    """The application that shows a library, for whoever knows the token; any browser of this machine if None."""
    app = guarded_app("confostain view", token, is_local, _lifespan)
    app.state.library = library
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def guarded_app(
    title: str, token: str | None, is_local: bool, lifespan: Callable[[FastAPI], Any] | None = None
) -> FastAPI:
    """An application without routes, behind the guard."""
    app = FastAPI(
        title=title,
        version=confostain.__version__,
        description=confostain.RESEARCH_USE,
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, token=token, is_local=is_local)
    app.add_exception_handler(ConfostainError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


async def _invalid(request: Request, error: Exception) -> Response:
    """What is wrong and where, without what was sent: that may be large, or hold what JSON does not know."""
    assert isinstance(error, RequestValidationError)
    problems = [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in error.errors()[:10]]
    return JSONResponse({"detail": problems}, 422)


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 409)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.desk = TileService()
    yield
    app.state.desk.close()


# what a request is about ---------------------------------------------------------------------------------------

# Coroutines, although they wait for nothing: FastAPI would run functions in another thread each.


async def _library(request: Request) -> Library:
    return request.app.state.library


async def _desk(request: Request) -> TileService:
    return request.app.state.desk


async def _entry(slide: SlideId, library: Annotated[Library, Depends(_library)]) -> Entry:
    if slide not in library.entries:
        raise HTTPException(404, "there is no such slide; GET /api/slides names those there are")
    return library.entries[slide]


async def _layer(layer: LayerId, entry: Annotated[Entry, Depends(_entry)]) -> Layer:
    layers = await asyncio.shield(asyncio.wrap_future(entry.layers))
    if layer not in layers:
        raise HTTPException(404, f"there is no such layer; the slide has {', '.join(layers)}")
    return layers[layer]


async def _view(
    x_confostain_client: Annotated[str, Header(max_length=64)] = "",
    x_confostain_view: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> View | None:
    """What the client looks at: its earlier requests, with a smaller number, are dropped."""
    return None if x_confostain_view is None else View(x_confostain_client, x_confostain_view)


async def _focus(
    x_confostain_focus: Annotated[str | None, Header(pattern=r"^-?\d{1,7}(\.\d*)?,-?\d{1,7}(\.\d*)?$")] = None,
) -> tuple[float, float] | None:
    """The middle of the client's view in level-0 pixels, "x,y": what is near to it comes first."""
    if x_confostain_focus is None:
        return None
    x, y = map(float, x_confostain_focus.split(","))
    return x, y


AnEntry = Annotated[Entry, Depends(_entry)]
ALayer = Annotated[Layer, Depends(_layer)]
ADesk = Annotated[TileService, Depends(_desk)]
Focus = Annotated[tuple[float, float] | None, Depends(_focus)]
OfView = Annotated[View | None, Depends(_view)]

# routes --------------------------------------------------------------------------------------------------------

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page."""
    return FileResponse(STATIC / "index.html", headers=CACHING)


@router.get("/api/slides")
async def slides(library: Annotated[Library, Depends(_library)]) -> list[dict[str, Any]]:
    """The slides there are, with their layers and levels. Lengths are in level-0 pixels."""
    return [entry.described() for entry in library.entries.values()]


@router.get("/api/slides/{slide}/thumbnail/{layer}.jpg", responses=UNKNOWN | UNREADABLE | PICTURE)
async def thumbnail(request: Request, entry: AnEntry, layer: ALayer, desk: ADesk) -> Response:
    """The whole slide in at most 256 x 256 pixels."""
    return await _answered(request, desk, layer, Place(len(level_sizes(entry.size)) - 1, 0, 0), "jpg")


@router.get("/api/slides/{slide}/tiles/{layer}/{level}/{column}_{row}.{form}", responses=UNKNOWN | UNREADABLE | PICTURE)
async def tile(
    request: Request,
    entry: AnEntry,
    layer: ALayer,
    desk: ADesk,
    level: Index,
    column: Index,
    row: Index,
    form: Literal["jpg", "png"],
    focus: Focus,
    view: OfView,
) -> Response:
    """One tile. Level 0 is full resolution, each next one half of it; png is lossless."""
    sizes, place = level_sizes(entry.size), Place(level, column, row)
    if level >= len(sizes) or not _is_inside(place, sizes[level]):
        raise HTTPException(404, "there is no such tile")
    return await _answered(request, desk, layer, place, form, focus, view)


@router.get("/api/slides/{slide}/status/{layer}", responses=UNKNOWN | UNREADABLE)
async def status(layer: ALayer, desk: ADesk) -> dict[int, float]:
    """For each level, the share of the slide that shows the layer's own pixels instead of a preview.

    Asking tells that somebody looks: the rest is painted while nobody waits for anything else.
    """
    desk.attend(layer)
    return dict(enumerate(layer.painted()))


@router.get("/api/slides/{slide}/annotations", responses=UNKNOWN | UNREADABLE)
def read_annotations(entry: AnEntry) -> Response:
    """The slide's annotations as GeoJSON, in level-0 pixels; the ETag goes into the If-Match of the next PUT."""
    data, tag = entry.annotations.read()
    return Response(data, media_type="application/geo+json", headers={"ETag": tag, "Cache-Control": "no-store"})


@router.put(
    "/api/slides/{slide}/annotations",
    responses=UNKNOWN
    | UNREADABLE
    | {
        412: {"description": "Somebody else has written since; nothing was changed."},
        428: {"description": "Without If-Match somebody else's work could be lost."},
    },
)
def write_annotations(
    entry: AnEntry, collection: FeatureCollection, response: Response, if_match: Annotated[str | None, Header()] = None
) -> dict[str, int]:
    """Replace the slide's annotations."""
    if if_match is None:
        raise HTTPException(428, "expected the ETag of the annotations known as If-Match")
    try:
        tag = entry.annotations.write(collection.model_dump(exclude_unset=True), if_match)
    except Outdated as error:
        raise HTTPException(412, "the annotations have changed; GET them again") from error
    except ValueError as error:
        raise HTTPException(422, f"not JSON ({error})") from error
    response.headers["ETag"] = tag
    return {"features": len(collection.features)}


@router.get("/api/events", response_class=StreamingResponse)
async def events(request: Request, library: Annotated[Library, Depends(_library)]) -> Response:
    """Server-sent events: `slides` whenever a slide has come."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    tell = partial(loop.call_soon_threadsafe, changed.set)

    async def stream() -> AsyncIterator[str]:
        library.listeners.append(tell)
        try:
            yield ": listening\n\n"
            while True:
                try:
                    await asyncio.wait_for(changed.wait(), KEEP_ALIVE)
                    changed.clear()
                    yield "event: slides\ndata: {}\n\n"
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            library.listeners.remove(tell)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


# answers -------------------------------------------------------------------------------------------------------


def _is_inside(place: Place, size: Size) -> bool:
    return place.column * TILE < size.width and place.row * TILE < size.height


async def _answered(
    request: Request,
    desk: TileService,
    layer: Layer,
    place: Place,
    form: Format,
    level0_focus: tuple[float, float] | None = None,
    view: View | None = None,
) -> Response:
    etag = desk.etag(layer, place, form)
    if request.headers.get("if-none-match") == etag:
        desk.attend(layer, level0_focus)
        return Response(status_code=304, headers=CACHING | {"ETag": etag})
    tile = desk.kept(etag)
    if tile is None:
        for order in desk.orders(layer, place, form, level0_focus, view):
            if not await _done(request, desk, order, view):
                return Response(status_code=204, headers={"Cache-Control": "no-store"})
            tile = order.future.result()
    assert isinstance(tile, Tile)
    headers = CACHING | {"ETag": tile.etag, "X-Confostain-Source": tile.source}
    return Response(tile.data, media_type=f"image/{'png' if form == 'png' else 'jpeg'}", headers=headers)


async def _done(request: Request, desk: TileService, order: Order, view: View | None) -> bool:
    """Wait for an order; False where it is wanted no longer."""
    done = asyncio.wrap_future(order.future)
    while not done.done():
        await asyncio.wait({done}, timeout=LOOK_AGAIN)
        if not done.done() and await request.is_disconnected():
            desk.workshop.leave(order, view)
            return False
    return not done.cancelled()
