"""FastAPI application with access control and error responses: what the viewer and the reader study are built on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

import confostain
from confostain.errors import ConfostainError
from confostain.viewer.guard import AccessRules, Guard

STATIC = Path(__file__).parent / "static"  # style, icons and theme of both pages, and the viewer's page
REPORTED_ERRORS = 10  # of an invalid request


def guarded_app(title: str, rules: AccessRules, lifespan: Callable[[FastAPI], Any] | None = None) -> FastAPI:
    """An application without routes, behind access control."""
    app = FastAPI(
        title=title,
        version=confostain.__version__,
        description=confostain.RESEARCH_USE,
        docs_url=None,  # these two pages would load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, rules=rules)
    app.add_exception_handler(ConfostainError, _conflict)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


async def _invalid(request: Request, error: Exception) -> Response:
    """422 with the places and reasons, without the input: it may be large, or hold values that JSON has not."""
    assert isinstance(error, RequestValidationError)
    problems = [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in error.errors()[:REPORTED_ERRORS]]
    return JSONResponse({"detail": problems}, 422)


async def _conflict(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 409)
