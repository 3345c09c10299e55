from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from confostain.errors import SlideError
from confostain.imaging.speckle_measures import (
    autocorrelation,
    effective_looks,
    ratio_image,
    structure_in_ratio,
    window_statistics,
)
from confostain.simulation.speckle import Image, Speckle


@cache
def tissue(seed: int, size: int = 400) -> Image:
    """Smooth tissue, brightness from about 0.05 to 0.9, with faint fibres."""
    rng = np.random.default_rng(seed)
    slow = gaussian_filter(rng.standard_normal((size, size)), 15)
    fibres = gaussian_filter(rng.standard_normal((size, size)), (1.5, 12))
    brightness = 0.3 * np.exp(0.6 * slow / slow.std() + 0.03 * fibres / fibres.std())
    return brightness.clip(0.03, 0.9).astype(np.float32)


def test_looks_are_measured_in_quiet_windows() -> None:
    clean = np.full((360, 360), 0.5, np.float32)
    clean[:, 180:] += 0.3 * np.sin(np.arange(180) * 1.3).astype(np.float32)  # structure finer than a window
    noisy = Speckle(20).recorded(clean, 3)
    assert effective_looks(noisy, 0.0) == pytest.approx(20, rel=0.2)
    everywhere = np.ones(30 * 30, np.bool_)
    assert effective_looks(noisy, 0.0, everywhere) < 15


def test_windows_ignore_a_slope() -> None:
    ramp = np.add.outer(np.arange(130), 2 * np.arange(130)).astype(np.float32)
    assert window_statistics(ramp).variances.max() < 1e-6


def test_the_ratio_of_a_perfect_result_is_the_speckle() -> None:
    clean, noise = tissue(1), Speckle(30, grain=0.55, pedestal=0.1)
    noisy, expected = noise.recorded(clean, 2), noise.expected(clean)
    ratio = ratio_image(noisy, expected, noise.pedestal)
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert 1 / ratio.var() == pytest.approx(30, rel=0.1)
    assert autocorrelation(ratio)[0] == pytest.approx(autocorrelation(noise.factor(clean.shape, _rng()))[0], abs=0.03)
    assert max(map(abs, structure_in_ratio(noisy, expected, noise.pedestal))) < 0.03


def test_eaten_structure_shows_in_the_ratio() -> None:
    clean = np.where(tissue(1) > 0.3, 0.6, 0.3).astype(np.float32)
    noisy = Speckle(100).recorded(clean, 2)
    assert abs(structure_in_ratio(noisy, clean, 0.0)[1]) < 0.03
    assert structure_in_ratio(noisy, gaussian_filter(clean, 2), 0.0)[1] > 0.3


def test_an_image_with_few_windows_is_refused() -> None:
    with pytest.raises(SlideError, match=r"400 x 119 px: .* expected at least 120 x 120"):
        window_statistics(np.ones((119, 400), np.float32))


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
