import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from confostain.errors import SlideError
from confostain.evaluation.domain_gap import domain_gap, mixed_panel, power_spectrum, statistics


def pair(seed: int, sigma: float = 2.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((2, 256, 256))
    return np.float32(gaussian_filter(noise, (0, sigma, sigma)))


def test_the_same_images_have_no_gap_in_their_spectrum() -> None:
    pairs = [pair(seed) for seed in range(3)]
    same = domain_gap(pairs, pairs)["reflectance"]
    softer = domain_gap([pair(seed, 3.0) for seed in range(3)], pairs)["reflectance"]
    assert same.largest_difference < 0.5
    assert softer.spectrum[-1] < -5


def test_the_spectrum_shows_a_wave_at_its_frequency() -> None:
    wave = np.sin(2 * np.pi * np.arange(256) / 8)  # an eighth per px: a quarter of the way to Nyquist
    spectrum = power_spectrum(np.float32(wave[None] * np.ones((256, 1))))
    assert spectrum.shape == (32,)
    assert int(spectrum.argmax()) in (7, 8)


def test_statistics_of_a_ramp() -> None:
    ramp = np.float32(np.linspace(5, 9, 300)[None] * np.ones((300, 1)))
    found = statistics(ramp)
    np.testing.assert_allclose(found[:5], np.array([5, 25, 50, 75, 95]) / 99.2 - 0.005, atol=0.01)
    assert found[6] < 0.02


def test_the_mixed_panel_is_in_random_order() -> None:
    picture, names = mixed_panel([pair(1)], [pair(2)])
    assert picture.shape == (512, 2048)
    assert sorted(names) == ["real"] * 4 + ["simulated"] * 4
    assert names != sorted(names)


def test_too_small_a_field_is_refused() -> None:
    with pytest.raises(SlideError, match="256 x 256"):
        domain_gap([pair(0)[:, :200]], [pair(1)])
