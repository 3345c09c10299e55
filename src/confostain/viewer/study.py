"""A reader study: people judge fields without knowing where they come from.

The protocol is a TOML file. Fields are cut from random places in the tissue of each arm (real H&E, or a slide
stained by a model), all rendered before the first is shown, so that neither their order, their names, their size nor
the time they take gives an arm away. Every answer is a line of a CSV file at once; who comes back goes on there.
"""

from __future__ import annotations

import csv
import os
import random
import threading
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confostain.errors import ConfigError, OutputError

COLUMNS = ("reader", "field", "arm", "x", "y", "question", "answer", "correct", "seconds", "comment", "time")


@dataclass(frozen=True)
class Question:
    """One question about every field.

    Attributes:
        id: its name in the results.
        text: what the reader sees.
        choices: the answers to choose from.
        correct: the right answer for each arm; empty for an opinion.
    """

    id: str
    text: str
    choices: tuple[str, ...]
    correct: dict[str, str]


@dataclass(frozen=True)
class Arm:
    """Where some of the fields come from: `histology`, or `slide` stained by `model`. mpp: where a file says none."""

    name: str
    slide: str | None = None
    model: str | None = None
    histology: str | None = None
    mpp: float | None = None


@dataclass(frozen=True)
class Protocol:
    """What the TOML file says.

    Attributes:
        title, introduction: what the reader sees first.
        seed: another one draws other fields.
        fields: from each arm.
        field_pixels: side of a field.
        microns_per_pixel: of every field; arms of another pixel size are resampled.
        comment: whether readers may write one.
    """

    title: str
    arms: tuple[Arm, ...]
    questions: tuple[Question, ...]
    introduction: str = ""
    seed: int = 0
    fields: int = 20
    field_pixels: int = 512
    microns_per_pixel: float = 0.75
    comment: bool = True


@dataclass(frozen=True)
class Field:
    """One picture to be judged, from `arm` at x, y (pixels of the field's scale). Its id tells nothing."""

    id: str
    arm: str
    x: int
    y: int
    png: bytes


def read_protocol(path: Path) -> Protocol:
    """The protocol in a TOML file.

    Raises ConfigError for unknown keys, missing ones, and values outside what is allowed.
    """
    try:
        table = tomllib.loads(path.read_text())
        arms = tuple(_made(Arm, one, path) for one in table.pop("arms", []))
        questions = tuple(
            _made(Question, {"correct": {}} | one | {"choices": tuple(one.get("choices", ()))}, path)
            for one in table.pop("questions", [])
        )
        protocol: Protocol = _made(Protocol, table | {"arms": arms, "questions": questions}, path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path}: no protocol that can be read ({error}); expected TOML") from error
    problem = _problem(protocol)
    if problem:
        raise ConfigError(f"{path}: {problem}")
    return protocol


def _made(kind: type[Any], table: dict[str, Any], path: Path) -> Any:
    known = kind.__dataclass_fields__
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"{path}: {', '.join(unknown)}: unknown; expected some of {', '.join(known)}")
    try:
        return kind(**table)
    except TypeError as error:
        raise ConfigError(f"{path}: {kind.__name__.lower()} with {', '.join(table)}: {error}") from error


def _problem(protocol: Protocol) -> str:
    names, ids = [arm.name for arm in protocol.arms], [question.id for question in protocol.questions]
    if len(set(names)) < len(names) or len(set(ids)) < len(ids):
        return "two arms or two questions have the same name; expected different ones"
    if not names or not ids:
        return "expected at least one [[arms]] and one [[questions]]"
    for arm in protocol.arms:
        if (arm.histology is None) == (arm.slide is None) or (arm.slide is None) != (arm.model is None):
            return f"arm {arm.name}: expected either histology, or slide and model"
    for question in protocol.questions:
        if len(question.choices) < 2:
            return f"question {question.id}: expected two choices or more"
        wrong = set(question.correct) - set(names) or set(question.correct.values()) - set(question.choices)
        if wrong:
            return f"question {question.id}: {', '.join(sorted(wrong))}: correct gives a choice for an arm"
    if not 1 <= protocol.fields <= 1000 or not 64 <= protocol.field_pixels <= 2048:
        return "expected 1 to 1000 fields of 64 to 2048 field_pixels"
    return "" if 0.1 <= protocol.microns_per_pixel <= 10 else "expected 0.1 to 10 microns_per_pixel"


class Session:
    """One reader going through the fields, in an order of their own."""

    def __init__(self, protocol: Protocol, fields: Sequence[Field], reader: str, results: Path) -> None:
        """Go on where `reader` stopped, as far as `results` knows.

        Raises OutputError where `results` is another file, or of another study.
        """
        self.protocol = protocol
        self._reader = reader
        self._results = results
        self._fields = {field.id: field for field in fields}
        self._order = list(self._fields)
        random.Random(f"{protocol.seed} {reader}").shuffle(self._order)
        self._lock = threading.Lock()
        rows = read_results(results)
        foreign = {row["field"] for row in rows} - set(self._fields)
        if foreign:
            raise OutputError(f"{results}: holds answers of another study; give another file with --results")
        self._answered = {row["field"] for row in rows if row["reader"] == reader}

    @property
    def total(self) -> int:
        """Number of fields."""
        return len(self._order)

    @property
    def answered(self) -> int:
        """Number of fields that the reader has judged."""
        return len(self._answered)

    def next(self) -> Field | None:
        """The field to be judged now; None at the end."""
        return next((self._fields[id_] for id_ in self._order if id_ not in self._answered), None)

    def image(self, id_: str) -> bytes | None:
        """The picture of the field to be judged now, and of no other."""
        field = self.next()
        return field.png if field is not None and field.id == id_ else None

    def answer(self, id_: str, answers: dict[str, str], seconds: float, comment: str) -> str:
        """Write down the answers to the field to be judged now. Returns what is wrong with them, if anything."""
        with self._lock:
            field = self.next()
            if field is None or field.id != id_:
                return "this field is not the one to be judged now"
            questions = {question.id: question for question in self.protocol.questions}
            if set(answers) != set(questions):
                return f"expected an answer to each of {', '.join(questions)}"
            if wrong := [key for key, answer in answers.items() if answer not in questions[key].choices]:
                return f"{', '.join(wrong)}: expected one of the choices"
            now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            base = {"reader": self._reader, "field": field.id, "arm": field.arm, "x": field.x, "y": field.y}
            more = {"seconds": round(seconds, 1), "comment": _harmless(comment), "time": now}
            rows = [base | more | _judged(questions[key], answer, field.arm) for key, answer in answers.items()]
            _append(self._results, rows)
            self._answered.add(id_)
        return ""


def _judged(question: Question, answer: str, arm: str) -> dict[str, str]:
    right = question.correct.get(arm)
    return {"question": question.id, "answer": answer, "correct": "" if right is None else str(int(answer == right))}


def _harmless(text: str) -> str:
    """One line that no spreadsheet takes for a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line[:1] in "=+-@" else line


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    is_new = not path.exists()
    try:
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path}: the answer cannot be written ({error.strerror})") from error


def read_results(path: Path) -> list[dict[str, str]]:
    """All answers written so far; none where there is no file yet.

    Raises OutputError where the file holds something else.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise OutputError(f"{path}: no results of a study; expected the columns {', '.join(COLUMNS)}")
    return rows
