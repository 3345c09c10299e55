"""Results as a file: whose it is, what is refused, what counts of answers given twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from confostain.errors import OutputError
from confostain.study.fields import Field
from confostain.study.protocol import Protocol
from confostain.study.results import read_answers
from confostain.study.session import Session, Viewing


@pytest.fixture
def results(protocol: Protocol, fields: list[Field], tmp_path: Path) -> Path:
    """Answers of one reader to one field."""
    session = Session(protocol, fields, "anna", tmp_path / "a.csv")
    step = session.next()
    assert step is not None
    session.answer(step.field.id, {"real": "real", "quality": "1"}, Viewing())
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("reading,", "read,", 1), "not the results of a study"),
        (lambda text: "a,b\n1,2\n", "not the results of a study"),
        (lambda text: text.replace(",real,real,", ",real,unreal,"), "answer 1: its arm, question or choice"),
        (lambda text: text.replace(",anna,1,", ",anna,x,"), "answer 1: .*expected whole reading"),
        (lambda text: text.replace(":", "?"), "answer 1: .*ISO 8601"),
    ],
    ids=["column", "another table", "choice", "reading", "time"],
)
def test_a_damaged_file_is_refused(
    protocol: Protocol, results: Path, change: Callable[[str], str], message: str
) -> None:
    results.write_text(change(results.read_text()))
    with pytest.raises(OutputError, match=message):
        read_answers(results, protocol)


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"title": "Another study"}, {"fields": 4}, {"washout_days": 1.0}, {"rounds": 2}]
)
def test_answers_to_another_protocol_are_refused(protocol: Protocol, results: Path, change: dict[str, object]) -> None:
    with pytest.raises(OutputError, match="another study, or to this protocol before it was changed"):
        read_answers(results, protocol.model_copy(update=change))


def test_bytes_that_are_no_text_are_refused(protocol: Protocol, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OutputError, match="cannot be read as CSV"):
        read_answers(tmp_path / "a.csv", protocol)


def test_of_answers_given_twice_the_first_counts(protocol: Protocol, results: Path) -> None:
    header, *lines = results.read_text().splitlines()
    again = [line.replace(",anna,", ",Anna,").replace(",real,real,", ",real,stained,") for line in lines]
    results.write_text("\n".join([header, *lines, *again]) + "\n")
    assert [(one.reader, one.choice) for one in read_answers(results, protocol)] == [("anna", "real"), ("anna", "1")]


def test_without_a_file_there_are_no_answers(protocol: Protocol, tmp_path: Path) -> None:
    assert read_answers(tmp_path / "none.csv", protocol) == []
