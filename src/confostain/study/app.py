"""Reader study application: its page and HTTP interface; no response depends on the arm of a field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from confostain.study.session import Session
from confostain.viewer.guard import AccessRules
from confostain.viewer.guarded_app import STATIC, guarded_app

PAGE = FilePath(__file__).parent / "static"
MAX_BODY = 64 << 10  # bytes; answers take hundreds
NO_STORE = {"Cache-Control": "no-store"}


def create_study_app(session: Session, rules: AccessRules) -> FastAPI:
    """An application that takes one reader through a study."""
    app = guarded_app("confostain study", replace(rules, max_body=MAX_BODY))
    app.state.session = session
    app.include_router(router)
    app.mount("/static/study", StaticFiles(directory=PAGE), name="page")  # before the folder that contains its path
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


class Answers(BaseModel):
    """Answers of the reader to one field."""

    id: Annotated[str, Field(max_length=64)]
    answers: Annotated[dict[str, str], Field(max_length=100)]
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    comment: Annotated[str, Field(max_length=2000)] = ""


async def _session(request: Request) -> Session:
    return request.app.state.session


RequestSession = Annotated[Session, Depends(_session)]
router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page."""
    return FileResponse(PAGE / "study.html", headers=NO_STORE)


@router.get("/api/study")
def study(session: RequestSession) -> dict[str, Any]:
    """Title and introduction of the study, and the reader's progress."""
    protocol = session.protocol
    return {"title": protocol.title, "introduction": protocol.introduction} | _progress(session)


@router.get("/api/study/next")
def next_field(session: RequestSession, response: Response) -> dict[str, Any]:
    """The current field with its questions, or `done` after the last one."""
    response.headers.update(NO_STORE)
    field = session.next()
    if field is None:
        return {"done": True} | _progress(session)
    return {
        "id": field.id,
        "number": session.answered + 1,
        "image": f"/api/study/images/{field.id}.png",
        "questions": [{"id": one.id, "text": one.text, "choices": one.choices} for one in session.protocol.questions],
        "comment": session.protocol.comment,
    } | _progress(session)


@router.get(
    "/api/study/images/{id}.png",
    response_class=Response,
    responses={404: {"description": "This is not the current field."}},
)
def image(session: RequestSession, id: Annotated[str, Path(max_length=64)]) -> Response:
    """Image of the current field."""
    png = session.image(id)
    if png is None:
        raise HTTPException(404, "this is not the current field; GET /api/study/next")
    return Response(png, media_type="image/png", headers=NO_STORE)


@router.post("/api/study/answers", responses={409: {"description": "Wrong field or answers; nothing was written."}})
def answer(session: RequestSession, given: Answers) -> dict[str, Any]:
    """Write the reader's answers to the current field."""
    problem = session.answer(given.id, given.answers, given.seconds, given.comment)
    if problem:
        raise HTTPException(409, problem)
    return _progress(session)


def _progress(session: Session) -> dict[str, int]:
    return {"total": session.total, "answered": session.answered}
