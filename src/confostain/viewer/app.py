"""Viewer application: the page and its HTTP interface, which /openapi.json describes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from confostain.viewer import overlay_routes, slide_routes, tile_routes, viewed_routes
from confostain.viewer.guard import AccessRules
from confostain.viewer.guarded_app import STATIC, guarded_app
from confostain.viewer.library import Library
from confostain.viewer.tile_service import TileService

router = APIRouter()


def create_app(library: Library, rules: AccessRules) -> FastAPI:
    """An application that shows the slides of a library. Its threads start with the server, not before."""
    app = guarded_app("confostain view", rules, _lifespan)
    app.state.library = library
    app.include_router(router)
    app.include_router(slide_routes.router)
    app.include_router(tile_routes.router)
    app.include_router(viewed_routes.router)
    app.include_router(overlay_routes.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.tile_service = TileService()
    yield
    app.state.tile_service.close()


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "private, no-cache"})
