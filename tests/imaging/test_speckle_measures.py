from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
from confostain.simulation.speckle_fit import estimate_speckle

SKIN_B = Path(__file__).parents[3] / "shared/data/cm/skin_b/R.jpg"


@cache
def tissue(seed: int, size: int = 400) -> Image:
    """Smooth tissue, brightness from about 0.05 to 0.9, with faint fibres."""
    rng = np.random.default_rng(seed)
    slow = gaussian_filter(rng.standard_normal((size, size)), 15)
    fibres = gaussian_filter(rng.standard_normal((size, size)), (1.5, 12))
    brightness = 0.3 * np.exp(0.6 * slow / slow.std() + 0.03 * fibres / fibres.std())
    return brightness.clip(0.03, 0.9).astype(np.float32)


@given(
    looks=st.floats(4, 80), grain=st.sampled_from([0.0, 0.5, 0.9]), pedestal=st.floats(0, 0.15), seed=st.integers(0, 2)
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_planted_noise_is_found_again(looks: float, grain: float, pedestal: float, seed: int) -> None:
    planted = Speckle(looks, grain, pedestal, gain=0.8, read_noise=0.004)
    found = estimate_speckle(planted.recorded(tissue(seed), seed))
    assert found.looks == pytest.approx(looks, rel=0.3)
    assert found.pedestal == pytest.approx(pedestal, abs=0.03)
    assert found.grain == pytest.approx(grain, abs=0.15 if grain else 0.4)  # white noise has no width to measure


def test_the_real_scan_lies_in_the_known_ranges() -> None:
    if not SKIN_B.exists():
        pytest.skip("the real scan in ../shared is not at hand")
    from PIL import Image as Pillow

    noise = estimate_speckle(np.asarray(Pillow.open(SKIN_B).convert("L"), np.float32) / 255)
    assert 35 < noise.looks < 60
    assert 0.45 < noise.grain < 0.6
    assert 15 < noise.pedestal * 255 < 25
    assert noise.read_noise * 255 < 1.5


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


@pytest.mark.parametrize("image", [np.zeros((200, 200)), np.full((200, 200), 0.4), np.ones((50, 400))])
def test_images_without_speckle_are_refused(image: np.ndarray) -> None:
    with pytest.raises(SlideError, match="expected"):
        estimate_speckle(image.astype(np.float32))


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
