"""The HTTP interface of a study: blind, one field at a time, resumed."""

import csv
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from confostain.study.app import create_study_app
from confostain.study.fields import Field, draw_fields
from confostain.study.protocol import Protocol, read_protocol
from confostain.study.results import read_answers
from confostain.study.session import Session
from confostain.viewer.guard import AccessRules

Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
OpenStudy = Callable[[], AbstractContextManager[httpx.Client]]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "answers.csv"


@pytest.fixture
def open_study(protocol: Protocol, fields: list[Field], results: Path, serve: Serve) -> OpenStudy:
    """Starts a session of the same reader."""
    return lambda: serve(create_study_app(Session(protocol, fields, "anna", results), AccessRules()))


def judge(client: httpx.Client, choice: str) -> httpx.Response:
    field = client.get("/api/study/next").json()
    answers = {"real": choice, "quality": "2"}
    return client.post(
        "/api/study/answers", json={"id": field["id"], "answers": answers, "seconds": 1.25, "comment": "ok"}
    )


def judge_after_the_end(client: httpx.Client) -> httpx.Response:
    return client.post("/api/study/answers", json={"id": "0" * 20, "answers": {"real": "real", "quality": "1"}})


def test_a_reader_goes_through_stops_and_goes_on(
    protocol: Protocol, fields: list[Field], open_study: OpenStudy, results: Path
) -> None:
    with open_study() as client:
        assert client.get("/api/study").json()["total"] == 6
        for _ in range(2):
            assert judge(client, "real").status_code == 200
    with open_study() as client:
        assert client.get("/api/study/next").json()["number"] == 3
        while not client.get("/api/study/next").json().get("done"):
            judge(client, "real")
        assert judge_after_the_end(client).status_code == 409
    assert len(read_answers(results, protocol)) == 12
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    arms = {field.id: field.arm for field in fields}
    for row in rows:
        assert row["arm"] == arms[row["field"]]
        assert row["correct"] == {"quality": "", "real": str(int(row["arm"] == "section"))}[row["question"]]
    assert Session(protocol, fields, "bert", results).answered == 0


def test_nothing_gives_the_answer_away(open_study: OpenStudy, phantom_scan: Path) -> None:
    """Whatever the arm: the same keys, the same headers, the same number of bytes; no name of an arm or a file."""
    shapes = set()
    with open_study() as client:
        while not (field := client.get("/api/study/next")).json().get("done"):
            image = client.get(field.json()["image"])
            headers = {key: value for key, value in image.headers.items() if key != "date"}
            shapes.add((frozenset(headers.items()), frozenset(field.json()), len(field.content)))
            said = field.text + client.get("/api/study").text + str(headers)
            for secret in ("section", "gareau", phantom_scan.parent.name, "arm", "correct", "histology"):
                assert secret not in said
            judge(client, "real")
    assert len(shapes) == 1


def test_only_the_current_field_is_shown(fields: list[Field], open_study: OpenStudy) -> None:
    with open_study() as client:
        now = client.get("/api/study/next").json()["id"]
        shown = {field.id: client.get(f"/api/study/images/{field.id}.png").status_code for field in fields}
        assert shown == {field.id: 200 if field.id == now else 404 for field in fields}
        for path in ("/api/slides", "/api/study/images/..%2f..%2fstudy.toml.png", "/api/study/results"):
            assert client.get(path).status_code == 404


def test_the_page_and_what_it_loads_are_served(open_study: OpenStudy) -> None:
    with open_study() as client:
        assert client.get("/").headers["content-type"].startswith("text/html")
        for name in ("study/study.js", "study/study.css", "style.css", "theme.js", "icons.svg"):
            assert client.get(f"/static/{name}").status_code == 200, name
        assert client.get("/static/study/..%2fapp.py").status_code == 404


@pytest.mark.parametrize(
    "answers", [{}, {"real": "real"}, {"real": "maybe", "quality": "1"}, {"real": "real", "quality": "1", "more": "x"}]
)
def test_incomplete_answers_are_not_written(
    protocol: Protocol, open_study: OpenStudy, results: Path, answers: dict[str, str]
) -> None:
    with open_study() as client:
        now = client.get("/api/study/next").json()["id"]
        assert client.post("/api/study/answers", json={"id": now, "answers": answers}).status_code == 409
    assert read_answers(results, protocol) == []


@pytest.mark.parametrize(("choice", "right"), [("real", True), ("stained", False)])
def test_the_training_tells_what_is_correct_and_the_test_does_not(
    lesson_toml: Path, serve: Serve, results: Path, choice: str, right: bool
) -> None:
    protocol = read_protocol(lesson_toml)
    fields = draw_fields(protocol, lesson_toml.parent, lambda done, total: None)
    with serve(create_study_app(Session(protocol, fields, "anna", results), AccessRules())) as client:
        for _ in range(2):
            assert client.get("/api/study/next").json()["reading"] == 0
            reply = judge(client, choice).json()
            assert reply["feedback"] == [{"question": "What is this?", "correct": "real", "right": right}]
            assert reply["explanation"] == "Look at the borders of the nuclei."
        for number in range(6):
            asked = client.get("/api/study/next").json()
            assert (asked["reading"], asked["round"], asked["width"]) == (1, number // 3 + 1, 96)
            assert set(judge(client, choice).json()) == {"total", "answered"}
        end = client.get("/api/study/next").json()
        assert (end["done"], end["opens"][:2]) == (True, "20")
        assert judge_after_the_end(client).status_code == 409
