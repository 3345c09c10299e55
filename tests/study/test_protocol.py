"""The reader study: blind, random, resumed, written down."""

import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from confostain.errors import ConfigError, OutputError, SlideError
from confostain.study.app import create_study_app
from confostain.study.fields import draw_fields
from confostain.study.protocol import Field, Protocol, Session, read_protocol, read_results

Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]

PROTOCOL = """
title = "Real or stained?"
fields = 3
field_pixels = 96
microns_per_pixel = 0.75
seed = 7
[[arms]]
name = "section"
histology = "section.png"
mpp = 0.5
[[arms]]
name = "stained"
slide = "{scan}"
model = "gareau"
[[questions]]
id = "real"
text = "What is this?"
choices = ["real", "stained"]
correct = {{section = "real", stained = "stained"}}
[[questions]]
id = "quality"
text = "How good is it?"
choices = ["1", "2", "3"]
"""


@pytest.fixture
def toml(phantom_scan: Path, tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    pink = np.stack(
        [rng.integers(180, 255, (700, 900)), rng.integers(60, 140, (700, 900)), np.full((700, 900), 170)], -1
    )
    Image.fromarray(pink.astype(np.uint8)).save(tmp_path / "section.png")
    (tmp_path / "study.toml").write_text(PROTOCOL.format(scan=phantom_scan))
    return tmp_path / "study.toml"


@pytest.fixture
def protocol(toml: Path) -> Protocol:
    return read_protocol(toml)


@pytest.fixture
def fields(protocol: Protocol, toml: Path) -> list[Field]:
    return draw_fields(protocol, toml.parent, lambda done, total: None)


def test_fields_are_drawn_from_each_arm_and_tell_nothing(fields: list[Field]) -> None:
    assert sorted(field.arm for field in fields) == ["section"] * 3 + ["stained"] * 3
    assert len({len(field.png) for field in fields}) == 1
    assert len({(field.arm, field.x, field.y) for field in fields}) == 6
    for field in fields:
        assert Image.open(io.BytesIO(field.png)).size == (96, 96)
        assert re.fullmatch("[0-9a-f]{20}", field.id)
        assert re.findall(rb"tEXt|iTXt|zTXt|eXIf|tIME|pHYs|iCCP", field.png) == []
    assert [field.id for field in fields] == sorted(field.id for field in fields)


def test_the_same_seed_draws_the_same_fields(protocol: Protocol, fields: list[Field], toml: Path) -> None:
    assert draw_fields(protocol, toml.parent, lambda done, total: None) == fields


def test_too_little_tissue_is_said(toml: Path) -> None:
    white = Image.new("RGB", (900, 700), "white")
    white.save(toml.with_name("section.png"))
    with pytest.raises(SlideError, match="arm section: only 0 places"):
        draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)


def judge(client: httpx.Client, choice: str) -> httpx.Response:
    field = client.get("/api/study/next").json()
    answers = {"real": choice, "quality": "2"}
    return client.post(
        "/api/study/answers", json={"id": field["id"], "answers": answers, "seconds": 1.25, "comment": "ok"}
    )


def test_a_reader_goes_through_stops_and_goes_on(
    protocol: Protocol, fields: list[Field], serve: Serve, tmp_path: Path
) -> None:
    results = tmp_path / "answers.csv"
    with serve(create_study_app(Session(protocol, fields, "anna", results))) as client:
        assert client.get("/api/study").json()["total"] == 6
        for _ in range(2):
            assert judge(client, "real").status_code == 200
    with serve(create_study_app(Session(protocol, fields, "anna", results))) as client:
        assert client.get("/api/study/next").json()["number"] == 3
        while not client.get("/api/study/next").json().get("done"):
            judge(client, "real")
        assert judge_after_the_end(client).status_code == 409
    rows = read_results(results)
    assert len(rows) == 12
    arms = {field.id: field.arm for field in fields}
    for row in rows:
        assert row["arm"] == arms[row["field"]]
        assert row["correct"] == {"quality": "", "real": str(int(row["arm"] == "section"))}[row["question"]]
    assert Session(protocol, fields, "bert", results).answered == 0


def judge_after_the_end(client: httpx.Client) -> httpx.Response:
    return client.post("/api/study/answers", json={"id": "0" * 20, "answers": {"real": "real", "quality": "1"}})


def test_readers_see_different_orders(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    orders = {tuple(Session(protocol, fields, reader, tmp_path / "x.csv")._order) for reader in "abcdef"}
    assert len(orders) > 3
    assert all(set(order) == {field.id for field in fields} for order in orders)


def test_nothing_gives_the_answer_away(
    protocol: Protocol, fields: list[Field], serve: Serve, tmp_path: Path, phantom_scan: Path
) -> None:
    """Whatever the arm: the same keys, the same headers, the same number of bytes; no name of an arm or a file."""
    shapes = set()
    with serve(create_study_app(Session(protocol, fields, "anna", tmp_path / "a.csv"))) as client:
        while not (field := client.get("/api/study/next")).json().get("done"):
            image = client.get(field.json()["image"])
            headers = {key: value for key, value in image.headers.items() if key != "date"}
            shapes.add((frozenset(headers.items()), frozenset(field.json()), len(field.content)))
            said = field.text + client.get("/api/study").text + str(headers)
            for secret in ("section", "gareau", phantom_scan.parent.name, "arm", "correct", "histology"):
                assert secret not in said
            judge(client, "real")
    assert len(shapes) == 1


def test_only_the_field_to_be_judged_is_shown(
    protocol: Protocol, fields: list[Field], serve: Serve, tmp_path: Path
) -> None:
    with serve(create_study_app(Session(protocol, fields, "anna", tmp_path / "a.csv"))) as client:
        now = client.get("/api/study/next").json()["id"]
        shown = {field.id: client.get(f"/api/study/images/{field.id}.png").status_code for field in fields}
        assert shown == {field.id: 200 if field.id == now else 404 for field in fields}
        for path in ("/api/slides", "/api/study/images/..%2f..%2fstudy.toml.png", "/api/study/results"):
            assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "answers", [{}, {"real": "real"}, {"real": "maybe", "quality": "1"}, {"real": "real", "quality": "1", "more": "x"}]
)
def test_incomplete_answers_are_not_written(
    protocol: Protocol, fields: list[Field], serve: Serve, tmp_path: Path, answers: dict[str, str]
) -> None:
    with serve(create_study_app(Session(protocol, fields, "anna", tmp_path / "a.csv"))) as client:
        now = client.get("/api/study/next").json()["id"]
        assert client.post("/api/study/answers", json={"id": now, "answers": answers}).status_code == 409
    assert read_results(tmp_path / "a.csv") == []


def test_comments_are_no_formulas(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    session = Session(protocol, fields, "anna", tmp_path / "a.csv")
    now = session.next()
    assert now is not None
    assert session.answer(now.id, {"real": "real", "quality": "1"}, 1, '=1+1\n"x",y') == ""
    assert read_results(tmp_path / "a.csv")[0]["comment"] == "'" + '=1+1 "x",y'


def test_results_of_another_study_are_refused(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="no results of a study"):
        Session(protocol, fields, "anna", tmp_path / "other.csv")
    session = Session(protocol, fields, "anna", tmp_path / "a.csv")
    now = session.next()
    assert now is not None
    session.answer(now.id, {"real": "real", "quality": "1"}, 1, "")
    others = [field for field in fields if field != now]
    with pytest.raises(OutputError, match="another study"):
        Session(protocol, others, "anna", tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "tilte", "title: Field required"),
        ("seed", "sede", "sede: Extra inputs"),
        ('title = "Real or stained?"', "", "title"),
        ('choices = ["1", "2", "3"]', 'choices = ["1"]', "questions.1.choices"),
        ('histology = "section.png"', "", "arm section: expected either"),
        ('model = "gareau"', "", "arm stained: expected either"),
        ('name = "section"', 'name = "stained"', "same name"),
        ('stained = "stained"}', 'stained = "perhaps"}', "perhaps"),
        ("fields = 3", "fields = 0", "fields: Input should be"),
        ("fields = 3", "fields = [", "no protocol"),
        ("fields = 3", 'fields = "3"', "fields: Input should be"),
    ],
)
def test_a_wrong_protocol_is_refused(toml: Path, old: str, new: str, message: str) -> None:
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_protocol(toml)
