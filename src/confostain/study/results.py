"""Results of a reader study: a CSV file with one row per answer."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from confostain.errors import OutputError
from confostain.viewer.file_lock import locked

COLUMNS = ("reader", "field", "arm", "x", "y", "question", "answer", "correct", "seconds", "comment", "time")


def read_results(path: Path) -> list[dict[str, str]]:
    """All answers written so far; none if there is no file yet.

    Raises OutputError if the file is not such a CSV file.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise OutputError(
            f"{path}: not the results of a study; expected the columns {', '.join(COLUMNS)}; give another file with"
            " --results"
        )
    return rows


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
    return f"'{line}" if line[:1] in "=+-@" else line
