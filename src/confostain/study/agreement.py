"""How right readers are and how far they agree: shares with their confidence intervals, and kappa."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

Z95 = 1.959963984540054  # standard deviations that hold 95 % of a normal distribution
ALL = "(all)"  # in place of a reader


def wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share; (0, 1) where nothing was counted.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212.
    """
    if total == 0:
        return 0.0, 1.0
    share, square = successes / total, Z95**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = Z95 / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Agreement of two readers beyond chance, 1 for complete; NaN where chance alone would agree always.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20, 37-46.
    """
    if not pairs:
        return math.nan
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    return _beyond_chance(sum(a == b for a, b in pairs) / n, sum(first[c] * second[c] for c in first) / n**2)


def fleiss_kappa(answers: Sequence[Sequence[str]]) -> float:
    """Agreement of several readers; each item holds one answer of every reader. NaN as for `cohen_kappa`.

    Source: Fleiss 1971, "Measuring nominal scale agreement among many raters", Psychol. Bull. 76, 378-382.
    """
    if not answers or len(answers[0]) < 2:
        return math.nan
    items, readers = len(answers), len(answers[0])
    counts = [Counter(item) for item in answers]
    agreed = sum(sum(n * (n - 1) for n in item.values()) for item in counts) / (items * readers * (readers - 1))
    overall = sum(counts, Counter[str]())
    return _beyond_chance(agreed, sum((n / (items * readers)) ** 2 for n in overall.values()))


def _beyond_chance(agreed: float, by_chance: float) -> float:
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def summary(rows: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    """A table of the results of a study: accuracy of every reader and of all, and kappa, for each question.

    `rows` are answers with reader, field, question, answer and correct ("1", "0", or "" for an opinion).
    """
    table: list[dict[str, object]] = []
    for question in dict.fromkeys(row["question"] for row in rows):
        of_question = [row for row in rows if row["question"] == question]
        readers = sorted({row["reader"] for row in of_question})
        for reader in [*readers, ALL]:
            mine = [row for row in of_question if reader in (row["reader"], ALL)]
            table.append({"question": question, "reader": reader} | _accuracy(mine) | {"kappa": ""})
        table[-1]["kappa"] = _kappa(of_question, readers)
    return table


def _accuracy(rows: Sequence[Mapping[str, str]]) -> dict[str, object]:
    marks = [int(row["correct"]) for row in rows if row["correct"]]
    if not marks:
        return {"fields": len(rows), "accuracy": "", "low": "", "high": ""}
    low, high = wilson_interval(sum(marks), len(marks))
    shares = {"accuracy": sum(marks) / len(marks), "low": low, "high": high}
    return {"fields": len(rows)} | {name: f"{share:.4f}" for name, share in shares.items()}


def _kappa(rows: Sequence[Mapping[str, str]], readers: Sequence[str]) -> str:
    """Over the fields that every reader has judged: Cohen's for two readers, Fleiss' for more."""
    by_field: dict[str, dict[str, str]] = {}
    for row in rows:
        by_field.setdefault(row["field"], {})[row["reader"]] = row["answer"]
    common = [[one[reader] for reader in readers] for one in by_field.values() if len(one) == len(readers)]
    pairs = [(one[0], one[1]) for one in common if len(one) == 2]
    kappa = cohen_kappa(pairs) if pairs else fleiss_kappa(common)
    return "" if math.isnan(kappa) else f"{kappa:.4f}"
