"""The HTTP interface of a reader study. No answer, header, name or time in it depends on where a field comes from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from confostain.study.protocol import Session
from confostain.viewer.app import STATIC, guarded_app

NEVER = {"Cache-Control": "no-store"}


def create_study_app(session: Session, token: str | None = None, is_local: bool = True) -> FastAPI:
    """The application that takes one reader through a study."""
    app = guarded_app("confostain study", token, is_local)
    app.state.session = session
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


class Answers(BaseModel):
    """What a reader says of one field."""

    id: Annotated[str, Field(max_length=64)]
    answers: Annotated[dict[str, str], Field(max_length=100)]
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    comment: Annotated[str, Field(max_length=2000)] = ""


async def _session(request: Request) -> Session:
    return request.app.state.session


ASession = Annotated[Session, Depends(_session)]
router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page."""
    return FileResponse(STATIC / "study.html", headers=NEVER)


@router.get("/api/study")
def study(session: ASession) -> dict[str, Any]:
    """What it is about, and how far the reader is."""
    protocol = session.protocol
    return {"title": protocol.title, "introduction": protocol.introduction} | _progress(session)


@router.get("/api/study/next")
def next_field(session: ASession, response: Response) -> dict[str, Any]:
    """The field to be judged now, with the questions; or that all is done."""
    response.headers.update(NEVER)
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
    responses={404: {"description": "This is not the field to be judged now."}},
)
def image(session: ASession, id: Annotated[str, Path(max_length=64)]) -> Response:
    """The picture of the field to be judged now."""
    png = session.image(id)
    if png is None:
        raise HTTPException(404, "this is not the field to be judged now")
    return Response(png, media_type="image/png", headers=NEVER)


@router.post("/api/study/answers", responses={409: {"description": "Not what was asked; nothing was written."}})
def answer(session: ASession, given: Answers) -> dict[str, Any]:
    """Write down what the reader says of the field to be judged now."""
    problem = session.answer(given.id, given.answers, given.seconds, given.comment)
    if problem:
        raise HTTPException(409, problem)
    return _progress(session)


def _progress(session: Session) -> dict[str, int]:
    return {"total": session.total, "answered": session.answered}
