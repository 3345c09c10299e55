"""Session of one reader: training, then all fields in a random order of this reader's own, resumed from the results."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from confostain.errors import OptionError, OutputError
from confostain.study.fields import Field
from confostain.study.protocol import Protocol
from confostain.study.results import append_results, plain_line, read_answers

TRAINING = 0  # number of the reading that holds the training


@dataclass(frozen=True)
class Step:
    """A field to be judged by the reader.

    Attributes:
        field: what is judged.
        reading: counted from 1; `TRAINING` for the training.
        round: part of the reading, counted from 1.
    """

    field: Field
    reading: int
    round: int


@dataclass(frozen=True)
class Viewing:
    """How the reader looked at a field.

    Attributes:
        seconds: from the picture to the answer.
        max_zoom: largest magnification relative to the scale at which fields are first shown.
        zoomed_seconds: time at more than that scale.
        pixel_ratio: screen pixels per CSS pixel; another value in one study means another screen or browser zoom.
        comment: free text.
    """

    seconds: float = 0.0
    max_zoom: float = 1.0
    zoomed_seconds: float = 0.0
    pixel_ratio: float = 1.0
    comment: str = ""


def _now() -> datetime:
    return datetime.now().astimezone()


class Session:
    """One reader, who answers all questions about one field after the other."""

    def __init__(
        self,
        protocol: Protocol,
        fields: Sequence[Field],
        reader: str,
        results: Path,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Resume after the fields for which `results` holds answers of `reader`, in whatever case it is written.

        Raises OptionError for a name that cannot be told from others, OutputError if `results` is not a file of
        results, or belongs to another study.
        """
        self.protocol = protocol
        self._reader = reader_name(reader)
        self._results = results
        self._now = now
        self._lock = threading.Lock()
        answers = read_answers(results, protocol)
        if {one.field for one in answers} - {field.id for field in fields}:
            raise OutputError(
                f"{results}: holds answers about other fields, so it belongs to another study, or slides or models have"
                " changed; restore these, or give another file with --results"
            )
        self._steps = list(_steps(protocol, fields, self._reader))
        own = [one for one in answers if one.reader == self._reader]
        self._answered = {(one.reading, one.field) for one in own}
        self._ended = {one.reading: one.time for one in own}  # the last row of each counts

    @property
    def total(self) -> int:
        """Number of fields of the current reading."""
        return sum(step.reading == self._reading for step in self._steps)

    @property
    def answered(self) -> int:
        """Number of fields that the reader has judged in the current reading."""
        return sum(reading == self._reading for reading, _ in self._answered)

    @property
    def opens(self) -> datetime | None:
        """When the next reading begins, if the washout is not over."""
        step = self._first_unanswered()
        if step is None or step.reading - 1 not in self._ended or step.reading - 1 == TRAINING:
            return None
        opens = self._ended[step.reading - 1] + timedelta(days=self.protocol.washout_days)
        return opens if self._now() < opens else None

    @property
    def _reading(self) -> int:
        step = self._first_unanswered() or self._steps[-1]
        return step.reading - 1 if self.opens else step.reading

    def _first_unanswered(self) -> Step | None:
        return next((step for step in self._steps if (step.reading, step.field.id) not in self._answered), None)

    def next(self) -> Step | None:
        """The current field: the first one in the reader's order that is not judged; None at the end and in washout."""
        return None if self.opens else self._first_unanswered()

    def image(self, id_: str) -> bytes | None:
        """PNG of the current field; None for any other."""
        step = self.next()
        return step.field.png if step is not None and step.field.id == id_ else None

    def answer(self, id_: str, answers: Mapping[str, str], viewing: Viewing) -> Step:
        """Write the choice for each question id about the current field, `id_`, which is returned.

        Raises OptionError, and writes nothing, if this is not the current field or an answer is missing or unknown.
        """
        with self._lock:
            step = self.next()
            if step is None or step.field.id != id_:
                raise OptionError("this is not the current field; GET /api/study/next")
            questions = {question.id: question for question in self.protocol.questions}
            if set(answers) != set(questions):
                raise OptionError(f"expected an answer to each of {', '.join(questions)}")
            if wrong := [key for key, answer in answers.items() if answer not in questions[key].choices]:
                raise OptionError(f"{', '.join(wrong)}: expected one of the choices")
            now = self._now()
            append_results(self._results, self._rows(step, answers, viewing, now))
            self._answered.add((step.reading, id_))
            self._ended[step.reading] = now
        return step

    def _rows(self, step: Step, answers: Mapping[str, str], viewing: Viewing, now: datetime) -> list[dict[str, object]]:
        field = step.field
        common = {
            "study": self.protocol.fingerprint,
            "reader": self._reader,
            "reading": step.reading,
            "round": step.round,
            "field": field.id,
            "case": field.case,
            "arm": field.arm,
            "x": field.x,
            "y": field.y,
            "seconds": round(viewing.seconds, 1),
            "max_zoom": viewing.max_zoom,
            "zoomed_seconds": round(viewing.zoomed_seconds, 1),
            "pixel_ratio": round(viewing.pixel_ratio, 3),
            "comment": plain_line(viewing.comment),
            "time": now.isoformat(timespec="seconds"),
        }
        rows = list[dict[str, object]]()
        for question in self.protocol.questions:
            is_correct = question.is_correct(field.arm, answers[question.id])
            mark = "" if is_correct is None else int(is_correct)
            rows.append(common | {"question": question.id, "answer": answers[question.id], "correct": mark})
        return rows


def reader_name(name: str) -> str:
    """Name of a reader as the results have it: lower case, single spaces.

    Raises OptionError for a name that a table would take for something else.
    """
    plain = " ".join(name.split()).casefold()
    if not plain[:1].isalnum() or plain == "truth" or not plain.isprintable():  # "truth" is no reader to iMRMC
        raise OptionError(f"reader {name!r}: expected a name that begins with a letter or digit, and is not 'truth'")
    return plain


def _steps(protocol: Protocol, fields: Sequence[Field], reader: str) -> Iterator[Step]:
    training = {arm.name for arm in protocol.arms if arm.training}
    for reading in range(protocol.readings + 1):
        own = [field for field in fields if (field.arm in training) == (reading == TRAINING)]
        random.Random(f"{protocol.seed} {reader} {reading}").shuffle(own)
        rounds = 1 if reading == TRAINING else protocol.rounds
        for i, field in enumerate(own):
            yield Step(field, reading, i * rounds // len(own) + 1)
