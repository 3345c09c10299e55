import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confostain.errors import OptionError
from confostain.simulation.speckle import Law, Speckle, gaussian_kernel

SHAPE = (300, 300)


def correlation(factor: np.ndarray, lag: int) -> float:
    swing = factor - factor.mean()
    return float((swing[:, lag:] * swing[:, :-lag]).mean() / swing.var())


@pytest.mark.parametrize("law", ["gamma", "uniform", "rayleigh"])
@given(looks=st.floats(13, 80), grain=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 2**31))
@settings(max_examples=5, deadline=None)
def test_the_factor_keeps_the_mean_and_has_the_variance_of_its_looks(
    law: Law, looks: float, grain: float, seed: int
) -> None:
    factor = Speckle(looks, grain, law=law).factor(SHAPE, np.random.default_rng(seed))
    assert factor.mean() == pytest.approx(1, abs=0.01)
    assert 1 / factor.var() == pytest.approx(looks, rel=0.06)
    assert factor.min() >= 0


@pytest.mark.parametrize("looks", [1, 4, 45])
@pytest.mark.parametrize("grain", [0.3, 0.55, 1.0])
def test_the_grain_correlates_neighbours_as_its_kernel_says(looks: float, grain: float) -> None:
    factor = Speckle(looks, grain).factor(SHAPE, np.random.default_rng(5))
    kernel = gaussian_kernel(grain)
    for lag in (1, 2):
        expected = (kernel[lag:] * kernel[:-lag]).sum() / np.square(kernel).sum()
        assert Speckle(looks, grain).correlation(2)[lag - 1] == pytest.approx(expected)
        assert correlation(factor, lag) == pytest.approx(expected, abs=0.04)


def test_white_speckle_is_white() -> None:
    assert Speckle(4).correlation(3) == [0, 0, 0]
    assert abs(correlation(Speckle(4).factor(SHAPE, np.random.default_rng(0)), 1)) < 0.01


def test_a_recording_is_pedestal_gain_speckle_and_read_noise() -> None:
    speckle = Speckle(looks=20, grain=0.5, pedestal=0.1, gain=0.5, read_noise=0.01)
    reflected = np.full(SHAPE, 0.6, np.float32)
    recorded = speckle.recorded(reflected, 7)
    assert recorded.dtype == np.float32
    assert recorded.mean() == pytest.approx(speckle.expected(reflected).mean(), abs=1e-3)
    assert recorded.std() == pytest.approx(np.hypot(0.5 * 0.6 / np.sqrt(20), 0.01), rel=0.03)
    black = speckle.recorded(np.zeros(SHAPE, np.float32), 7)
    assert black.mean() == pytest.approx(0.1, abs=1e-3)
    assert black.std() == pytest.approx(0.01, rel=0.03)


def test_a_seed_says_the_noise() -> None:
    image = np.full((30, 20), 0.5, np.float32)
    assert np.array_equal(Speckle().recorded(image, 1), Speckle().recorded(image, 1))
    assert not np.array_equal(Speckle().recorded(image, 1), Speckle().recorded(image, 2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"looks": 0},
        {"looks": 2, "law": "uniform"},
        {"looks": 3, "law": "rayleigh"},
        {"looks": 6, "grain": 0.6, "law": "uniform"},
        {"grain": -1},
        {"gain": 0},
        {"law": "poisson"},
    ],
)
def test_impossible_noise_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"looks|grain|law"):
        Speckle(**wrong)  # type: ignore[arg-type]
