"""Accuracy and kappa against figures worked out elsewhere."""

import math

import pytest

from confostain.study.agreement import cohen_kappa, fleiss_kappa, summary, wilson_interval


def test_wilson_against_newcombe_1998() -> None:
    """Table I of Newcombe, Statistics in Medicine 17, 857-872: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for successes, total, low, high in [
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718),
    ]:  # fmt: skip
        assert wilson_interval(successes, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(0, 0) == (0, 1)


def test_cohen_against_hand_calculation() -> None:
    """20 times both yes, 15 both no, 5 and 10 differ: 0.7 agreed, 0.5 by chance."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([("y", "y"), ("n", "n")]) == 1
    assert math.isnan(cohen_kappa([("y", "y")] * 3))
    assert math.isnan(cohen_kappa([]))


def test_fleiss_against_his_example() -> None:
    """Fleiss' table as worked through in Wikipedia's article: 10 items, 14 readers, 5 categories, kappa 0.210."""
    counts = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    items = [[str(category) for category, n in enumerate(row) for _ in range(n)] for row in counts]
    assert fleiss_kappa(items) == pytest.approx(0.210, abs=5e-4)


def test_the_summary_counts_readers_and_all() -> None:
    def row(reader: str, field: str, answer: str, correct: str) -> dict[str, str]:
        return {"reader": reader, "field": field, "question": "real", "answer": answer, "correct": correct}

    rows = [row("a", str(n), "y", "1") for n in range(4)] + [
        row("b", str(n), "yn"[n % 2], "10"[n % 2]) for n in range(4)
    ]
    rows.append(row("a", "only a saw it", "n", "0"))
    table = {line["reader"]: line for line in summary(rows)}
    assert table["a"]["accuracy"] == "0.8000"
    assert table["b"]["accuracy"] == "0.5000"
    assert table["(all)"]["fields"] == 9
    assert table["(all)"]["kappa"] == "0.0000"
    low, high = wilson_interval(4, 5)
    assert (table["a"]["low"], table["a"]["high"]) == (f"{low:.4f}", f"{high:.4f}")
