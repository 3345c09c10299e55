"""HTTP routes of slides: their descriptions, their annotations, and events when slides are added."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from confostain.viewer.annotations import AnnotationFile, VersionConflict
from confostain.viewer.dependencies import UNKNOWN, UNREADABLE, RequestLibrary, RequestSlide
from confostain.viewer.isolated_process import IsolatedCallError

MAX_STREAMS = 128  # of events; a page that finds no place shows new slides only when it is loaded again
KEEP_ALIVE = 15.0  # s between comments in the stream of events, so that no proxy closes the connection

GEOJSON = {  # checked in an isolated process, not by FastAPI, which would hold up all other requests meanwhile
    "required": True,
    "content": {
        "application/geo+json": {
            "schema": {
                "type": "object",
                "required": ["type", "features"],
                "properties": {"type": {"const": "FeatureCollection"}, "features": {"type": "array"}},
            }
        }
    },
}

WRITTEN = (
    UNKNOWN
    | UNREADABLE
    | {
        412: {"description": "Another client has written since; nothing was changed."},
        428: {"description": "If-Match is missing: the work of another client could be lost."},
        503: {"description": "Others write just now; try again after the seconds that Retry-After gives."},
    }
)

router = APIRouter()


@router.get("/api/slides")
async def slides(library: RequestLibrary) -> list[dict[str, Any]]:
    """All slides with their layers and levels. Lengths are in level-0 pixels."""
    return [entry.describe() for entry in library.entries.values()]


@router.get("/api/refusals")
async def refusals(library: RequestLibrary) -> list[dict[str, str]]:
    """Entries of the watched folders that are not shown, by `name`, each with the `reason`."""
    return library.refusals


@router.get("/api/slides/{slide}/annotations", responses=UNKNOWN | UNREADABLE)
def read_annotations(slide: RequestSlide) -> Response:
    """Annotations as GeoJSON, in level-0 pixels. The ETag goes into the If-Match header of the next PUT."""
    data, etag = slide.annotations.read()
    return Response(data, media_type="application/geo+json", headers={"ETag": etag, "Cache-Control": "no-store"})


@router.put("/api/slides/{slide}/annotations", responses=WRITTEN, openapi_extra={"requestBody": GEOJSON})
async def write_annotations(
    slide: RequestSlide,
    request: Request,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, int]:
    """Replace the annotations by a GeoJSON FeatureCollection."""
    return await replace_features(slide.annotations, request, response, if_match)


async def replace_features(
    file: AnnotationFile, request: Request, response: Response, if_match: str | None
) -> dict[str, int]:
    """Number of features that a request has written into a file beside a slide; the response gets its ETag.

    Raises HTTPException if the request lacks the file's ETag, holds an old one, or holds no GeoJSON FeatureCollection.
    """
    if if_match is None:
        raise HTTPException(428, "no If-Match header; expected the ETag of the features that are replaced")
    try:
        features, etag = await run_in_threadpool(file.write, await request.body(), if_match)
    except VersionConflict as error:
        raise HTTPException(412, "the features have changed; GET them again") from error
    except ValueError as error:
        raise HTTPException(422, f"no features in GeoJSON ({error}); expected a FeatureCollection") from error
    response.headers["ETag"] = etag
    return {"features": features}


@router.post("/api/annotations/check", openapi_extra={"requestBody": GEOJSON})
async def check_annotations(library: RequestLibrary, request: Request) -> dict[str, int]:
    """Number of features of a GeoJSON FeatureCollection that could be saved; nothing is written."""
    try:
        return {"features": await run_in_threadpool(library.check_annotations, await request.body())}
    except (ValueError, IsolatedCallError) as error:
        raise HTTPException(422, f"no annotations in GeoJSON ({error}); expected a FeatureCollection") from error


@router.get(
    "/api/events", response_class=StreamingResponse, responses={503: {"description": "Too many pages listen already."}}
)
async def events(request: Request, library: RequestLibrary) -> Response:
    """Server-sent events: `slides` whenever a slide was added, or an entry of a watched folder refused."""
    added, loop = asyncio.Event(), asyncio.get_running_loop()
    notify = partial(loop.call_soon_threadsafe, added.set)
    if len(library.listeners) >= MAX_STREAMS:
        raise HTTPException(503, f"{MAX_STREAMS} pages listen already; close some of them")

    async def stream() -> AsyncIterator[str]:
        library.listeners.append(notify)
        try:
            yield ": listening\n\n"
            while True:
                try:
                    await asyncio.wait_for(added.wait(), KEEP_ALIVE)
                    added.clear()
                    yield "event: slides\ndata: {}\n\n"
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            library.listeners.remove(notify)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
