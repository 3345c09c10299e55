"""Reader study application: its page and HTTP interface; no response depends on the arm of a field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from confostain.study.protocol import Protocol
from confostain.study.session import TRAINING, Session, Viewing
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
    max_zoom: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 1.0
    zoomed_seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    pixel_ratio: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 1.0
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
    """The current field with its questions, or `done` after the last one and in the washout, with its end."""
    response.headers.update(NO_STORE)
    step, protocol = session.next(), session.protocol
    if step is None:
        return {"done": True, "opens": session.opens} | _progress(session)
    return {
        "id": step.field.id,
        "number": session.answered + 1,
        "image": f"api/study/images/{step.field.id}.png",
        "width": protocol.screen_width,  # CSS pixels
        "questions": [{"id": one.id, "text": one.text, "choices": one.choices} for one in protocol.questions],
        "comment": protocol.comment,
        "reading": step.reading,
        "readings": protocol.readings,
        "round": step.round,
        "rounds": protocol.rounds,
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
    """Write the reader's answers to the current field. In the training, also what was correct."""
    viewing = Viewing(given.seconds, given.max_zoom, given.zoomed_seconds, given.pixel_ratio, given.comment)
    step = session.answer(given.id, given.answers, viewing)
    return _progress(session) | (
        _feedback(session.protocol, step.field.arm, given.answers) if step.reading == TRAINING else {}
    )


def _feedback(protocol: Protocol, name: str, answers: dict[str, str]) -> dict[str, Any]:
    """What was correct about a field of a training arm."""
    return {
        "feedback": [
            {"question": one.text, "correct": one.correct[name], "right": one.is_correct(name, answers[one.id])}
            for one in protocol.questions
            if name in one.correct
        ],
        "explanation": next(arm.explanation for arm in protocol.arms if arm.name == name),
    }


def _progress(session: Session) -> dict[str, int]:
    return {"total": session.total, "answered": session.answered}
