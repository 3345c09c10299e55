import math

import numpy as np
import pytest

from confostain.evaluation.reference_metrics import colour_difference, psnr, sharpness, ssim


def test_psnr_of_a_known_error() -> None:
    truth = np.full((20, 20), 0.5, np.float32)
    assert psnr(truth + np.float32(0.1), truth) == pytest.approx(20, abs=1e-4)
    assert psnr(truth, truth) == math.inf


def test_ssim_against_the_formula() -> None:
    """Wang et al. 2004, with a Gaussian of sigma 1.5 cut at 3.5 sigma, away from the border."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(2)
    a = rng.random((40, 44)).astype(np.float32)
    b = (a + 0.1 * rng.standard_normal(a.shape)).astype(np.float32)

    def mean(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image.astype(np.float64), 1.5, truncate=3.5)

    ma, mb, c1, c2 = mean(a), mean(b), 0.01**2, 0.03**2
    va, vb, vab = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    slow = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert ssim(a, b) == pytest.approx(slow[5:-5, 5:-5].mean(), abs=1e-4)
    assert ssim(a, a) == pytest.approx(1)


def test_sharpness_falls_with_blur_and_rises_with_noise() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(2)
    truth = gaussian_filter(rng.random((60, 60)), 1).astype(np.float32)
    assert sharpness(truth, truth) == 1
    assert sharpness(gaussian_filter(truth, 1), truth) < 0.8
    assert sharpness(truth + 0.1 * rng.standard_normal(truth.shape).astype(np.float32), truth) > 1.2


def test_ssim_of_colours_is_the_mean_of_the_three() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 32, 32, 3)).astype(np.float32)
    b[..., 0] = a[..., 0]
    each = [ssim(a[..., colour], b[..., colour]) for colour in range(3)]
    assert each[0] == pytest.approx(1)
    assert ssim(a, b) == pytest.approx(np.mean(each), abs=1e-6)


def test_colour_difference_of_known_colours() -> None:
    """White against black is 100 by definition."""
    white, black = np.full((4, 4, 3), 255, np.uint8), np.zeros((4, 4, 3), np.uint8)
    half = white.copy()
    half[:2] = 0
    assert colour_difference(white, white) == 0
    assert colour_difference(white, black) == pytest.approx(100, abs=0.01)
    assert colour_difference(half, white) == pytest.approx(50, abs=0.01)
