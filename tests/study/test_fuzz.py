"""The reader study under random requests: no 5xx, and no file but the results."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from confostain.study.app import create_study_app
from confostain.study.fields import Field
from confostain.study.protocol import Arm, Protocol, Question
from confostain.study.session import Session
from confostain.viewer.guard import AccessRules
from http_fuzzing import fuzz

Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.mark.filterwarnings("ignore")
def test_the_study_withstands_anything(serve: Serve, tmp_path: Path) -> None:
    protocol = Protocol(
        title="x", arms=[Arm(name="a", histology="x")], questions=[Question(id="q", text="?", choices=["y", "n"])]
    )
    fields = [Field(f"{n:020d}", f"{n:012d}", "a", 0, 0, b"png") for n in range(3)]
    app = create_study_app(Session(protocol, fields, "anna", tmp_path / "answers.csv"), AccessRules())
    with serve(app) as client:
        statuses = fuzz(app, client, {"id": [field.id for field in fields]})
    assert 200 in statuses["GET /api/study/images/{id}.png"]
    assert {path.name for path in tmp_path.iterdir()} <= {"answers.csv"}
