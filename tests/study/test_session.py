"""One reader: an order of their own, answers on disk."""

import csv
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from confostain.errors import OptionError, OutputError
from confostain.study.fields import Field, draw_fields
from confostain.study.protocol import Protocol, read_protocol
from confostain.study.results import append_results
from confostain.study.session import Session, Step, Viewing

ANSWERS = {"real": "real", "quality": "1"}
PLAIN = Viewing()


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def judge(session: Session, viewing: Viewing = PLAIN) -> Step:
    step = session.next()
    assert step is not None
    return session.answer(step.field.id, ANSWERS, viewing)


def judge_all(session: Session) -> list[Step]:
    steps = []
    while session.next():
        steps.append(judge(session))
    return steps


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_readers_see_different_orders(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    orders = {
        tuple(step.field.id for step in judge_all(Session(protocol, fields, reader, tmp_path / "x.csv")))
        for reader in "abcdef"
    }
    assert len(orders) > 3
    assert all(set(order) == {field.id for field in fields} for order in orders)


@pytest.mark.parametrize(
    ("comment", "written"),
    [('=1+1\n"x",y', '\'=1+1 "x",y'), ("", ""), ("  \n ", ""), ("clear nuclei", "clear nuclei"), ("-", "'-")],
)
def test_comments_are_no_formulas(
    protocol: Protocol, fields: list[Field], tmp_path: Path, comment: str, written: str
) -> None:
    session = Session(protocol, fields, "anna", tmp_path / "a.csv")
    judge(session, Viewing(comment=comment))
    assert [row["comment"] for row in rows_of(tmp_path / "a.csv")] == [written, written]


@pytest.mark.parametrize("name", ["Anna", " ANNA ", "anna\n", "aNNa"])
def test_a_reader_is_the_same_in_any_case(protocol: Protocol, fields: list[Field], tmp_path: Path, name: str) -> None:
    judge(Session(protocol, fields, "anna", tmp_path / "a.csv"))
    assert Session(protocol, fields, name, tmp_path / "a.csv").answered == 1
    judge(Session(protocol, fields, name, tmp_path / "a.csv"))
    assert {row["reader"] for row in rows_of(tmp_path / "a.csv")} == {"anna"}


@pytest.mark.parametrize("name", ["", "  ", "(all)", "=1+1", "-1", "Truth", "a\x1b[2J"])
def test_names_that_stand_for_something_else_are_refused(
    protocol: Protocol, fields: list[Field], tmp_path: Path, name: str
) -> None:
    with pytest.raises(OptionError, match="expected a name that begins with a letter or digit"):
        Session(protocol, fields, name, tmp_path / "a.csv")


def test_zoom_and_time_are_written(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    judge(Session(protocol, fields, "anna", tmp_path / "a.csv"), Viewing(12.34, 2.0, 3.21, 1.25))
    row = rows_of(tmp_path / "a.csv")[0]
    logged = [row[key] for key in ("seconds", "max_zoom", "zoomed_seconds", "pixel_ratio")]
    assert logged == ["12.3", "2.0", "3.2", "1.25"]


def test_training_comes_first_then_readings_in_rounds_with_a_washout(lesson_toml: Path, tmp_path: Path) -> None:
    protocol = read_protocol(lesson_toml)
    fields = draw_fields(protocol, lesson_toml.parent, lambda done, total: None)
    clock = Clock()
    session = Session(protocol, fields, "anna", tmp_path / "a.csv", clock)
    assert (session.answered, session.total) == (0, 2)
    first = judge_all(session)
    assert [(step.reading, step.round) for step in first] == [(0, 1)] * 2 + [(1, 1)] * 3 + [(1, 2)] * 3
    assert [step.field.arm == "lesson" for step in first] == [True] * 2 + [False] * 6
    assert session.opens == clock.now + timedelta(days=14)
    assert (session.answered, session.total) == (6, 6)
    with pytest.raises(OptionError, match="not the current field"):
        session.answer(first[2].field.id, ANSWERS, Viewing())

    clock.now += timedelta(days=13, hours=23)
    session = Session(protocol, fields, "anna", tmp_path / "a.csv", clock)
    assert session.next() is None
    assert session.image(first[2].field.id) is None
    clock.now += timedelta(hours=2)
    assert session.opens is None
    assert (session.answered, session.total) == (0, 6)
    second = judge_all(session)
    assert {step.reading for step in second} == {2}
    assert sorted(step.field.id for step in second) == sorted(step.field.id for step in first[2:])
    assert [step.field.id for step in second] != [step.field.id for step in first[2:]]
    assert (session.next(), session.opens, session.answered) == (None, None, 6)


@pytest.mark.parametrize("readers", [2, 4, 8])
def test_several_readers_write_one_file(tmp_path: Path, readers: int) -> None:
    together = threading.Barrier(readers)

    def write(reader: int) -> None:
        together.wait()
        for number in range(20):
            append_results(tmp_path / "a.csv", [{"reader": reader, "field": number, "comment": "a" * 100}] * 2)

    with ThreadPoolExecutor(readers) as pool:
        list(pool.map(write, range(readers)))
    rows = [(int(row["reader"]), int(row["field"])) for row in rows_of(tmp_path / "a.csv")]
    assert sorted(rows) == sorted((reader, number) for reader in range(readers) for number in range(20) for _ in "ab")


def test_answers_about_other_fields_are_refused(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    step = judge(Session(protocol, fields, "anna", tmp_path / "a.csv"))
    others = [field for field in fields if field != step.field]
    with pytest.raises(OutputError, match="answers about other fields"):
        Session(protocol, others, "anna", tmp_path / "a.csv")
