from __future__ import annotations

import numpy as np
import pytest

from confostain.evaluation.bootstrap import (
    block_counts,
    block_sums,
    bootstrap_interval,
    mean_interval,
    ratio_interval,
)


@pytest.mark.parametrize("units", [20, 100, 400])
def test_the_interval_of_a_mean_is_that_of_the_normal_distribution(units: int) -> None:
    values = np.random.default_rng(units).normal(5, 2, units)
    error = values.std() / np.sqrt(units)
    assert mean_interval(values.tolist()) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.25 * error
    )


@pytest.mark.parametrize("true", [0.1, 0.5, 0.9])
def test_about_95_in_100_intervals_of_a_share_hold_the_true_one(true: float) -> None:
    rng = np.random.default_rng(0)
    wholes = rng.integers(20, 60, (100, 40))
    intervals = [ratio_interval(rng.binomial(whole, true), whole) or (2, 2) for whole in wholes]
    assert 87 <= sum(low <= true <= high for low, high in intervals) <= 99


@pytest.mark.parametrize("values", [[], [3.0], [3.0, float("inf")], [3.0, float("nan"), 2.0]])
def test_there_is_no_interval_of_too_few_or_infinite_values(values: list[float]) -> None:
    assert mean_interval(values) is None


@pytest.mark.parametrize(
    ("parts", "wholes", "expected"),
    [
        ([0, 0, 0], [5, 6, 7], (0, 0)),
        ([5, 6, 7], [5, 6, 7], (1, 1)),
        ([0, 0, 0], [0, 0, 0], None),  # nothing to have a share of
        ([1, 0], [1, 0], (1, 1)),  # resamples without the first unit have no share
    ],
)
def test_shares_without_variation(parts: list[int], wholes: list[int], expected: tuple[float, float] | None) -> None:
    assert ratio_interval(parts, wholes) == expected


def test_two_sets_are_resampled_independently_and_centred() -> None:
    a, b = np.array([0.0, 1.0] * 50), np.array([0.0, 1.0] * 8)

    def difference(of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        assert (of_a.shape, of_b.shape) == ((1000, 100), (1000, 16))
        assert (of_a.sum(1) == 100).all()
        assert (of_b.sum(1) == 16).all()
        return of_a @ a / 100 - of_b @ b / 16

    error = 0.5 * np.sqrt(1 / 100 + 1 / 16)
    for centre in (None, 3.0):
        low, high = bootstrap_interval(difference, 100, 16, centre=centre) or (9, 9)
        assert (low + high) / 2 == pytest.approx(centre or 0, abs=0.3 * error)
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.parametrize("shape", [(128, 128), (300, 200), (100, 513)])
def test_blocks_hold_each_pixel_once(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape) < 0.3
    sums = block_sums(image)
    assert sums.sum() == image.sum()
    assert np.array_equal(block_counts(np.argwhere(image).astype(float), shape), sums)
    assert sums[0] == image[:128, :128].sum()
    assert sums[-1] == image[(shape[0] - 1) // 128 * 128 :, (shape[1] - 1) // 128 * 128 :].sum()
    assert block_counts(np.empty((0, 2)), shape).tolist() == [0] * len(sums)
