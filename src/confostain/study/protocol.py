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
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Constraint

from confostain.errors import ConfigError, OutputError

COLUMNS = ("reader", "field", "arm", "x", "y", "question", "answer", "correct", "seconds", "comment", "time")


Name = Annotated[str, Constraint(min_length=1, max_length=200)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Question(_Table):
    """One question about every field.

    Attributes:
        id: its name in the results.
        text: what the reader sees.
        choices: the answers to choose from.
        correct: the right answer for each arm; empty for an opinion.
    """

    id: Name
    text: Name
    choices: Annotated[list[Name], Constraint(min_length=2, max_length=20)]
    correct: dict[str, str] = {}


class Arm(_Table):
    """Where some of the fields come from.

    Attributes:
        name: in the results.
        slide, model: a raw scan, and what stains it.
        histology: or an H&E slide.
        mpp: um per pixel, where the files do not say it.
    """

    name: Name
    slide: str | None = None
    model: str | None = None
    histology: str | None = None
    mpp: float | None = None


class Protocol(_Table):
    """What the TOML file says.

    Attributes:
        title, introduction: what the reader sees first.
        arms: where the fields come from.
        questions: about every field.
        seed: another one draws other fields.
        fields: from each arm.
        field_pixels: side of a field.
        microns_per_pixel: of every field; arms of another pixel size are resampled.
        comment: whether readers may write one.
    """

    title: Name
    introduction: str = ""
    arms: Annotated[list[Arm], Constraint(min_length=1)]
    questions: Annotated[list[Question], Constraint(min_length=1)]
    seed: int = 0
    fields: Annotated[int, Constraint(ge=1, le=1000)] = 20
    field_pixels: Annotated[int, Constraint(ge=64, le=2048)] = 512
    microns_per_pixel: Annotated[float, Constraint(ge=0.1, le=10)] = 0.75
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
        protocol = Protocol.model_validate(tomllib.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}; `confostain study --help` shows an example") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no protocol that can be read ({error}); expected TOML") from error
    problem = _problem(protocol)
    if problem:
        raise ConfigError(f"{path}: {problem}")
    return protocol


def _problem(protocol: Protocol) -> str:
    names, ids = [arm.name for arm in protocol.arms], [question.id for question in protocol.questions]
    if len(set(names)) < len(names) or len(set(ids)) < len(ids):
        return "two arms or two questions have the same name; expected different ones"
    for arm in protocol.arms:
        if (arm.histology is None) == (arm.slide is None) or (arm.slide is None) != (arm.model is None):
            return f"arm {arm.name}: expected either histology, or slide and model"
    for question in protocol.questions:
        wrong = set(question.correct) - set(names) or set(question.correct.values()) - set(question.choices)
        if wrong:
            return f"question {question.id}: {', '.join(sorted(wrong))}: expected correct = {{ARM = CHOICE, ...}}"
    return ""


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
