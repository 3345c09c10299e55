"""Session of one reader: all fields in a random order of this reader's own, resumed from the results."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from confostain.errors import OutputError
from confostain.study.fields import Field
from confostain.study.protocol import Protocol, Question
from confostain.study.results import append_results, plain_line, read_results


class Session:
    """One reader, who answers all questions about one field after the other."""

    def __init__(self, protocol: Protocol, fields: Sequence[Field], reader: str, results: Path) -> None:
        """Resume after the fields for which `results` holds answers of `reader`.

        Raises OutputError if `results` is not a file of results, or belongs to another study.
        """
        self.protocol = protocol
        self._reader = reader
        self._results = results
        self._fields = {field.id: field for field in fields}
        self._order = list(self._fields)
        random.Random(f"{protocol.seed} {reader}").shuffle(self._order)
        self._lock = threading.Lock()
        rows = read_results(results)
        if {row["field"] for row in rows} - set(self._fields):
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
        """The current field: the first one in the reader's order that is not judged; None at the end."""
        return next((self._fields[id_] for id_ in self._order if id_ not in self._answered), None)

    def image(self, id_: str) -> bytes | None:
        """PNG of the current field; None for any other."""
        field = self.next()
        return field.png if field is not None and field.id == id_ else None

    def answer(self, id_: str, answers: dict[str, str], seconds: float, comment: str) -> str:
        """Write the answers to the current field. Returns what is wrong with them; "" if they were written.

        Args:
            id_: of the field.
            answers: the choice for each question id.
            seconds: that the reader took.
            comment: free text.
        """
        with self._lock:
            field = self.next()
            if field is None or field.id != id_:
                return "this is not the current field; GET /api/study/next"
            questions = {question.id: question for question in self.protocol.questions}
            if set(answers) != set(questions):
                return f"expected an answer to each of {', '.join(questions)}"
            if wrong := [key for key, answer in answers.items() if answer not in questions[key].choices]:
                return f"{', '.join(wrong)}: expected one of the choices"
            now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            place = {"reader": self._reader, "field": field.id, "arm": field.arm, "x": field.x, "y": field.y}
            notes = {"seconds": round(seconds, 1), "comment": plain_line(comment), "time": now}
            rows = [place | notes | _judged(questions[key], answer, field.arm) for key, answer in answers.items()]
            append_results(self._results, rows)
            self._answered.add(id_)
        return ""


def _judged(question: Question, answer: str, arm: str) -> dict[str, str]:
    correct = question.correct.get(arm)
    is_correct = "" if correct is None else str(int(answer == correct))
    return {"question": question.id, "answer": answer, "correct": is_correct}
