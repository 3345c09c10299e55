"""Results of a reader study: a CSV file with one row per answer."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from confostain.errors import OutputError
from confostain.study.protocol import Protocol
from confostain.viewer.file_lock import locked

COLUMNS = (
    *("study", "reader", "reading", "round", "field", "case", "arm", "x", "y", "question", "answer", "correct"),
    *("seconds", "max_zoom", "zoomed_seconds", "pixel_ratio", "comment", "time"),
)
FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Answer:
    """An answer in the results.

    Attributes:
        reader: name in lower case.
        reading, round: counted from 1; reading 0 is the training.
        field, case, arm: what was judged.
        question, choice: what was asked and answered.
        time: when.
    """

    reader: str
    reading: int
    round: int
    field: str
    case: str
    arm: str
    question: str
    choice: str
    time: datetime


def read_answers(path: Path, protocol: Protocol) -> list[Answer]:
    """All answers written so far, the first where there are several to the same; none if there is no file yet.

    Raises OutputError if the file is not such a CSV file, or holds answers to another protocol.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            rows = list(table)
    except (OSError, ValueError, csv.Error) as error:
        raise OutputError(f"{path}: cannot be read as CSV ({error}); give another file with --results") from error
    if tuple(table.fieldnames or ()) != COLUMNS:
        raise OutputError(
            f"{path}: not the results of a study; expected the columns {', '.join(COLUMNS)}; give another file with"
            " --results"
        )
    if others := {str(row["study"]) for row in rows} - {protocol.fingerprint}:
        raise OutputError(
            f"{path}: holds answers to another study, or to this protocol before it was changed"
            f" ({', '.join(sorted(others))}); expected {protocol.fingerprint}; restore the protocol, or give"
            " another file with --results"
        )
    answers = [_answer(row, f"{path}: answer {number}", protocol) for number, row in enumerate(rows, 1)]
    first = {(one.reader, one.reading, one.field, one.question): one for one in reversed(answers)}
    return [one for one in answers if first[one.reader, one.reading, one.field, one.question] is one]


def _answer(row: dict[str, Any], where: str, protocol: Protocol) -> Answer:
    choices = {question.id: question.choices for question in protocol.questions}
    arms = [arm.name for arm in protocol.arms]
    if row["arm"] not in arms or row["answer"] not in choices.get(row["question"], ()):
        raise OutputError(f"{where}: its arm, question or choice is not in the protocol; restore the file")
    try:
        reading, round_, time = int(row["reading"]), int(row["round"]), datetime.fromisoformat(row["time"]).astimezone()
    except (TypeError, ValueError) as error:
        raise OutputError(
            f"{where}: {error}; expected whole reading and round, and ISO 8601 time; restore it"
        ) from error
    place = (row["field"], row["case"], row["arm"], row["question"], row["answer"])
    return Answer(str(row["reader"]).casefold(), reading, round_, *place, time)


def append_results(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append answers, and return once they are on disk. Several processes may do so at once.

    Raises OutputError if they cannot be written.
    """
    with locked(path):
        try:
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if not file.tell():
                    writer.writeheader()
                writer.writerows(rows)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{path}: the answer cannot be written ({error.strerror})") from error


def plain_line(text: str) -> str:
    """Text as one line that no spreadsheet takes for a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(FORMULA) else line
