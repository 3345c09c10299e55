"""Intervals and kappas against figures that were published, or printed by other programs."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from confostain.study.agreement import (
    clustered_proportion,
    design_effect,
    kappa,
    quadratic_weights,
    wilson_interval,
)

Integers = npt.NDArray[np.int64]

# Weil's rats as in Table 1 of Rao and Scott 1992: pups that lived, of pups born, in each litter.
CONTROL = "13/13 12/12 9/9 9/9 8/8 8/8 12/13 11/12 9/10 9/10 8/9 11/13 4/5 5/7 7/10 7/10"
TREATED = "12/12 11/11 10/10 9/9 10/11 9/10 9/10 8/9 8/9 4/5 7/9 4/7 5/10 3/6 3/10 0/7"


def table(counts: list[list[int]]) -> Integers:
    """Answers of two readers from the table of their frequencies."""
    return np.array([(a, b) for a, row in enumerate(counts) for b, n in enumerate(row) for _ in range(n)])


def raters(items: str) -> Integers:
    """Answers of several readers: one word for each field, one digit for each reader."""
    return np.array([[int(digit) for digit in item] for item in items.split()])


SAS = table([[0, 4, 1], [0, 8, 0], [0, 1, 5]])  # what PROC FREQ of SAS printed stands in the tests of statsmodels
ABSTRACTORS = table([[13, 0, 0], [0, 20, 7], [0, 4, 56]])  # `cont3x3abstractors` of the R package irrCAC
ANXIETY = np.array(  # readers 2 and 3 of `anxiety` of the R package irr, which leaves out category 5: nobody chose it
    [[int(digit) for digit in column.replace("6", "5")] for column in ("36462424332333221334", "21443216111233113322")]
).T - 1  # fmt: skip
DIAGNOSES = raters(  # Fleiss 1971: 30 patients, six psychiatrists; `diagnoses` of the R package irr
    "333333 111444 122224 444444 111333 002222 222244 002223 003333 444444 033333 013333 111222 033333 113334 222224"
    " 000344 000001 113333 022444 444444 133333 113444 003333 033334 111113 000044 113333 022222 444444"
)
WIKIPEDIA = raters(  # the example in its article on Fleiss' kappa
    "44444444444444 11222222333344 22233333444444 11122222222233 00112222222234 00000001111111 00011222222333"
    " 00111112223344 00000011111223 11223334444444"
)
NOMINAL, LINEAR = np.eye(3), 1 - np.abs(np.subtract.outer(np.arange(3), np.arange(3))) / 2


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_newcombe_1998(successes: int, total: int, low: float, high: float) -> None:
    """Table I of Newcombe, Statistics in Medicine 17, 857-872."""
    assert wilson_interval(successes, total) == pytest.approx((low, high), abs=5e-5)


def test_a_proportion_of_nothing_may_be_anything() -> None:
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("litters", "effect"), [(CONTROL, 1.232495), (TREATED, 3.952861)])
def test_design_effect_of_rao_and_scott(litters: str, effect: float) -> None:
    """As printed by the example of `rsb` in the R package PF."""
    lived, born = np.array([[int(n) for n in litter.split("/")] for litter in litters.split()]).T
    assert design_effect(lived, born) == pytest.approx(effect, abs=1e-6)
    effective = born.sum() / effect
    assert clustered_proportion(lived, born)[1:] == pytest.approx(
        wilson_interval(lived.sum() / effect, effective), abs=1e-6
    )


@pytest.mark.parametrize("readers", [2, 5, 20])
def test_readers_who_always_agree_are_no_more_evidence_than_one(readers: int) -> None:
    right = np.array([1, 1, 0, 1, 1, 1, 0, 1, 1, 1])
    one = clustered_proportion(right, np.ones(10, int))
    many = clustered_proportion(right * readers, np.full(10, readers))
    assert one == pytest.approx((0.8, *wilson_interval(8, 10)))
    assert many.value == one.value
    assert many.low <= one.low
    assert many.high >= one.high
    assert many[1:] == pytest.approx(wilson_interval(0.8 * 9, 9))


@pytest.mark.parametrize("right", [0, 1])
def test_all_right_or_all_wrong_counts_each_field_once(right: int) -> None:
    estimate = clustered_proportion(np.full(12, 3 * right), np.full(12, 3))
    assert estimate == pytest.approx((right, *wilson_interval(12 * right, 12)))


def test_the_interval_holds_the_true_proportion_where_a_naive_one_does_not() -> None:
    """Fields of uneven difficulty (beta with mean 0.75, correlation 1/3), 60 of them, 5 readers, 1,000 studies."""
    rng = np.random.default_rng(3)
    right = rng.binomial(5, rng.beta(1.5, 0.5, (1000, 60)))
    clustered = [clustered_proportion(study, np.full(60, 5)) for study in right]
    naive = [wilson_interval(study.sum(), 300) for study in right]
    assert np.mean([low <= 0.75 <= high for _, low, high in clustered]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([low <= 0.75 <= high for low, high in naive]) < 0.85


@pytest.mark.parametrize(
    ("answers", "weights", "value", "error"),
    [
        (SAS, NOMINAL, 0.4842, 0.1380),
        (SAS, LINEAR, 0.4701, 0.1457),
        (ABSTRACTORS, NOMINAL, 0.7964, 0.0589),
    ],
    ids=["SAS", "SAS, weighted", "irrCAC"],
)
def test_kappa_and_its_standard_error(
    answers: Integers, weights: npt.NDArray[np.float64], value: float, error: float
) -> None:
    estimate = kappa(answers, weights, np.arange(len(answers)))
    assert estimate.value == pytest.approx(value, abs=5e-5)
    assert (estimate.high - estimate.low) / 2 / 1.959964 == pytest.approx(error, abs=5e-4)


def test_the_interval_of_kappa_is_that_of_sas() -> None:
    every = np.arange(len(SAS))
    assert kappa(SAS, NOMINAL, every)[1:] == pytest.approx((0.2137, 0.7547), abs=5e-5)
    assert kappa(SAS, LINEAR, every)[1:] == pytest.approx((0.1845, 0.7558), abs=5e-5)


@pytest.mark.parametrize(
    ("answers", "weights", "value"),
    [
        (ANXIETY, np.eye(5), -0.006289308),
        (ANXIETY, quadratic_weights(5), 0.2520325),
        (DIAGNOSES, np.eye(5), 0.4302445),
        (WIKIPEDIA, np.eye(5), 0.210),
    ],
    ids=["Cohen", "Fleiss and Cohen", "Fleiss", "Fleiss, Wikipedia"],
)
def test_kappa_of_published_tables(answers: Integers, weights: npt.NDArray[np.float64], value: float) -> None:
    """The first three as printed by `kappa2` and `kappam.fleiss` of the R package irr."""
    assert kappa(answers, weights, np.arange(len(answers))).value == pytest.approx(
        value, abs=5e-4 if value == 0.21 else 1e-7
    )


@pytest.mark.parametrize(("choices", "first_row"), [(2, [1, 0]), (3, [1, 0.75, 0]), (5, [1, 0.9375, 0.75, 0.4375, 0])])
def test_quadratic_weights_go_from_one_to_zero(choices: int, first_row: list[float]) -> None:
    weights = quadratic_weights(choices)
    assert weights[0].tolist() == first_row
    assert weights[:, -1].tolist() == first_row[::-1]


def test_weighted_kappa_of_two_readers_with_the_same_mean_is_the_intraclass_correlation() -> None:
    """Fleiss and Cohen 1973: for large tables and equal marginal distributions, ICC(2,1) of an analysis of variance."""
    rng = np.random.default_rng(5)
    half = rng.integers(0, 5, (4000, 1)) + rng.integers(0, 2, (4000, 2))
    scores = np.concatenate([half, half[:, ::-1]])
    between = 2 * scores.mean(1).var(ddof=1)
    within = scores.var(1, ddof=1).mean()
    expected = (between - within) / (between + within)
    assert kappa(scores, quadratic_weights(6), np.arange(8000)).value == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("copies", [2, 3])
def test_the_interval_of_kappa_counts_fields_at_the_same_place_once(copies: int) -> None:
    once = kappa(ABSTRACTORS, NOMINAL, np.arange(100))
    repeated = kappa(np.tile(ABSTRACTORS, (copies, 1)), NOMINAL, np.tile(np.arange(100), copies))
    assert repeated == pytest.approx(once)


@pytest.mark.parametrize(
    ("answers", "value"),
    [([[0, 0]] * 3, math.nan), ([[0, 0], [1, 1]], 1.0), ([[0, 1], [1, 0]], -1.0), (np.zeros((0, 2), int), math.nan)],
    ids=["one choice only", "full agreement", "none", "no fields"],
)
def test_what_a_kappa_cannot_tell_is_nan(answers: Integers, value: float) -> None:
    estimate = kappa(np.asarray(answers), np.eye(2), np.arange(len(answers)))
    assert estimate == pytest.approx((value, math.nan, math.nan), nan_ok=True)
