"""Statistics of a reader study: proportions and kappas with 95 % intervals that know which answers belong together.

Several readers judge the same fields, so their answers are not independent: an interval that takes them for so is too
narrow. Answers about the same case form a cluster here; clusters are taken as independent.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054  # 95 % of a normal distribution lie within this many standard deviations
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]


class Estimate(NamedTuple):
    """A figure and its 95 % confidence interval; NaN for what cannot be told."""

    value: float
    low: float
    high: float


def wilson_interval(successes: float, total: float) -> tuple[float, float]:
    """95 % confidence interval of a proportion; (0, 1) if `total` is 0.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212.
    """
    if total == 0:
        return 0.0, 1.0
    p, square = successes / total, Z95**2
    centre = (p + square / (2 * total)) / (1 + square / total)
    half = Z95 / (1 + square / total) * math.sqrt(p * (1 - p) / total + square / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def design_effect(successes: Integers, totals: Integers) -> float:
    """Variance of a proportion, relative to that of as many independent answers; NaN if it cannot be told.

    Shapes (clusters,): correct answers, and answers, of each cluster. The variance is that of a ratio of sums, which a
    generalised estimating equation with independent working correlation has, too.

    Source: Rao and Scott 1992, "A simple method for the analysis of clustered binary data", Biometrics 48, 577-585.
    """
    clusters, answers = len(totals), totals.sum()
    p = successes.sum() / answers
    if clusters < 2 or p in (0, 1):
        return math.nan
    spread = np.square(successes - p * totals).sum() * clusters / (clusters - 1)
    return float(spread / (answers * p * (1 - p)))


def clustered_proportion(successes: Integers, totals: Integers) -> Estimate:
    """Proportion of all answers, with Wilson's interval for the effective number of answers.

    Shapes as in `design_effect`, by which the number is divided. Where that cannot be told since all answers are right,
    or all wrong, each cluster counts as one answer. With one answer in each cluster it is Wilson's interval itself.
    """
    answers = int(totals.sum())
    p = float(successes.sum() / answers)
    effect = 1.0 if answers == len(totals) else design_effect(successes, totals)
    effective = len(totals) if math.isnan(effect) else answers / max(1.0, effect)
    return Estimate(p, *wilson_interval(p * effective, effective))


def quadratic_weights(choices: int) -> Floats:
    """Weights of Fleiss and Cohen 1973, (choices, choices): 1 for the same choice, 0 for the two ends of a scale.

    Source: "The equivalence of weighted kappa and the intraclass correlation coefficient as measures of reliability",
    Educ. Psychol. Meas. 33, 613-619.
    """
    steps = np.arange(choices)
    return 1 - np.square((steps[:, np.newaxis] - steps) / (choices - 1))


def kappa(answers: Integers, weights: Floats, clusters: Integers) -> Estimate:
    """Chance-corrected agreement: Cohen's kappa of two readers, Fleiss' of more; NaN if chance alone gives it all.

    The interval is that of the linearised statistic. Where its standard error is 0 the interval is NaN: a small sample
    that agrees in everything does not show that readers always do.

    Args:
        answers: index of the choice, (fields, readers).
        weights: credit for each pair of choices, (choices, choices), symmetric, 1 on the diagonal.
        clusters: number of the cluster of each field, (fields,).

    Sources: Cohen 1960, Educ. Psychol. Meas. 20, 37-46, and 1968, Psychol. Bull. 70, 213-220; Fleiss 1971, Psychol.
    Bull. 76, 378-382; standard error: Fleiss, Cohen and Everitt 1969, Psychol. Bull. 72, 323-327.
    """
    fields, readers = answers.shape
    if fields == 0 or readers < 2:
        return Estimate(math.nan, math.nan, math.nan)
    agreed = _agreement(answers, weights)
    by_chance, influence_on_chance = _chance(np.eye(len(weights))[answers], weights)
    if by_chance > 1 - 1e-12:
        return Estimate(math.nan, math.nan, math.nan)
    value = (agreed.mean() - by_chance) / (1 - by_chance)
    influence = (agreed - agreed.mean()) / (1 - by_chance) - (1 - value) * influence_on_chance / (1 - by_chance)
    error = math.sqrt(np.square(np.bincount(clusters, influence)).sum()) / fields
    if error < 1e-12:
        return Estimate(float(value), math.nan, math.nan)
    return Estimate(float(value), max(-1.0, float(value) - Z95 * error), min(1.0, float(value) + Z95 * error))


def _agreement(answers: Integers, weights: Floats) -> Floats:
    """Mean weight of all pairs of readers, (fields,)."""
    readers = answers.shape[1]
    pairs = weights[answers[:, :, np.newaxis], answers[:, np.newaxis, :]]
    return (pairs.sum((1, 2)) - readers) / (readers * (readers - 1))


def _chance(chosen: Floats, weights: Floats) -> tuple[float, Floats]:
    """Agreement by chance, and the influence of each field on it, (fields,); `chosen` is (fields, readers, choices)."""
    if chosen.shape[1] == 2:  # Cohen: each reader has a distribution of their own
        first, second = chosen.mean(0)
        by_chance = float(first @ weights @ second)
        return by_chance, chosen[:, 0] @ weights @ second + chosen[:, 1] @ weights @ first - 2 * by_chance
    shares = chosen.mean(1)  # Fleiss: readers share one distribution
    overall = shares.mean(0)
    by_chance = float(overall @ weights @ overall)
    return by_chance, 2 * (shares @ weights @ overall - by_chance)
