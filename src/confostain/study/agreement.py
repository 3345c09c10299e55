"""Accuracy and agreement of readers: proportions with 95 % Wilson intervals, Cohen's and Fleiss' kappa."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

Z95 = 1.959963984540054  # 95 % of a normal distribution lie within this many standard deviations
ALL_READERS = "(all)"


def wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion; (0, 1) if `total` is 0.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212.
    """
    if total == 0:
        return 0.0, 1.0
    p, square = successes / total, Z95**2
    centre = (p + square / (2 * total)) / (1 + square / total)
    half = Z95 / (1 + square / total) * math.sqrt(p * (1 - p) / total + square / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Chance-corrected agreement of two readers, at most 1; NaN if chance alone gives full agreement.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20, 37-46.
    """
    if not pairs:
        return math.nan
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    return _chance_corrected(sum(a == b for a, b in pairs) / n, sum(first[c] * second[c] for c in first) / n**2)


def fleiss_kappa(answers: Sequence[Sequence[str]]) -> float:
    """Chance-corrected agreement of several readers; NaN as for `cohen_kappa`.

    Each item holds one answer of every reader.

    Source: Fleiss 1971, "Measuring nominal scale agreement among many raters", Psychol. Bull. 76, 378-382.
    """
    if not answers or len(answers[0]) < 2:
        return math.nan
    items, readers = len(answers), len(answers[0])
    counts = [Counter(item) for item in answers]
    observed = sum(sum(n * (n - 1) for n in item.values()) for item in counts) / (items * readers * (readers - 1))
    overall = sum(counts, Counter[str]())
    return _chance_corrected(observed, sum((n / (items * readers)) ** 2 for n in overall.values()))


def _chance_corrected(observed: float, by_chance: float) -> float:
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def summary(rows: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    """Table of accuracy, of every reader and of all readers, and kappa, for each question.

    `rows` are answers with reader, field, question, answer and correct ("1", "0", or "" for an opinion).
    """
    table: list[dict[str, object]] = []
    for question in dict.fromkeys(row["question"] for row in rows):
        of_question = [row for row in rows if row["question"] == question]
        readers = sorted({row["reader"] for row in of_question})
        for reader in [*readers, ALL_READERS]:
            own = [row for row in of_question if reader in (row["reader"], ALL_READERS)]
            table.append({"question": question, "reader": reader} | _accuracy(own) | {"kappa": ""})
        table[-1]["kappa"] = _kappa(of_question, readers)
    return table


def _accuracy(rows: Sequence[Mapping[str, str]]) -> dict[str, object]:
    marks = [int(row["correct"]) for row in rows if row["correct"]]
    if not marks:
        return {"fields": len(rows), "accuracy": "", "low": "", "high": ""}
    low, high = wilson_interval(sum(marks), len(marks))
    figures = {"accuracy": sum(marks) / len(marks), "low": low, "high": high}
    return {"fields": len(rows)} | {name: f"{value:.4f}" for name, value in figures.items()}


def _kappa(rows: Sequence[Mapping[str, str]], readers: Sequence[str]) -> str:
    """Kappa over the fields that every reader has judged: Cohen's for two readers, Fleiss' for more."""
    by_field: dict[str, dict[str, str]] = {}
    for row in rows:
        by_field.setdefault(row["field"], {})[row["reader"]] = row["answer"]
    common = [[one[reader] for reader in readers] for one in by_field.values() if len(one) == len(readers)]
    pairs = [(one[0], one[1]) for one in common if len(one) == 2]
    kappa = cohen_kappa(pairs) if pairs else fleiss_kappa(common)
    return "" if math.isnan(kappa) else f"{kappa:.4f}"
