"""One reader: an order of their own, answers on disk."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from confostain.errors import OutputError
from confostain.study.fields import Field
from confostain.study.protocol import Protocol
from confostain.study.results import append_results, read_results
from confostain.study.session import Session


def test_readers_see_different_orders(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    orders = {tuple(Session(protocol, fields, reader, tmp_path / "x.csv")._order) for reader in "abcdef"}
    assert len(orders) > 3
    assert all(set(order) == {field.id for field in fields} for order in orders)


def test_comments_are_no_formulas(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    session = Session(protocol, fields, "anna", tmp_path / "a.csv")
    now = session.next()
    assert now is not None
    assert session.answer(now.id, {"real": "real", "quality": "1"}, 1, '=1+1\n"x",y') == ""
    assert read_results(tmp_path / "a.csv")[0]["comment"] == "'" + '=1+1 "x",y'


@pytest.mark.parametrize("readers", [2, 4, 8])
def test_several_readers_write_one_file(tmp_path: Path, readers: int) -> None:
    together = threading.Barrier(readers)

    def write(reader: int) -> None:
        together.wait()
        for number in range(20):
            append_results(tmp_path / "a.csv", [{"reader": reader, "field": number, "comment": "a" * 100}] * 2)

    with ThreadPoolExecutor(readers) as pool:
        list(pool.map(write, range(readers)))
    rows = [(int(row["reader"]), int(row["field"])) for row in read_results(tmp_path / "a.csv")]
    assert sorted(rows) == sorted((reader, number) for reader in range(readers) for number in range(20) for _ in "ab")


def test_results_of_another_study_are_refused(protocol: Protocol, fields: list[Field], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="not the results of a study"):
        Session(protocol, fields, "anna", tmp_path / "other.csv")
    session = Session(protocol, fields, "anna", tmp_path / "a.csv")
    now = session.next()
    assert now is not None
    session.answer(now.id, {"real": "real", "quality": "1"}, 1, "")
    others = [field for field in fields if field != now]
    with pytest.raises(OutputError, match="another study"):
        Session(protocol, others, "anna", tmp_path / "a.csv")
