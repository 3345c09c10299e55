from collections.abc import Callable

import numpy as np
import pytest

from confostain.arrays import Image
from confostain.evaluation.despeckler_real_scan import checkerboard, measure_despeckling
from confostain.simulation.speckle import Speckle

MakeImage = Callable[..., Image]


def test_a_perfect_result_has_perfect_metrics(tissue_image: MakeImage) -> None:
    clean, noise = tissue_image(400, 3), Speckle(45, 0.55, pedestal=0.08, read_noise=0.005)
    noisy, expected = noise.recorded(clean, 1), noise.expected(clean)
    good = measure_despeckling(noisy, expected)
    assert good.looks_after > 4 * good.looks_before
    assert abs(good.mean_change) < 0.01
    assert abs(good.ratio_gradient_correlation) < 0.05
    assert good.ratio_correlation == pytest.approx(good.speckle_correlation, abs=0.05)
    for name in ("looks", "fitted_looks", "grain", "neighbour_correlation", "roughness"):
        assert getattr(good.synthetic, name) == pytest.approx(getattr(good.scan, name), rel=0.2), name
    assert "x " in good.text()
    assert measure_despeckling(noisy, noisy).looks_after == good.looks_before


def test_a_checkerboard_is_found(tissue_image: MakeImage) -> None:
    image = tissue_image(200)
    assert checkerboard(image) < 2e-4
    marked = image.copy()
    marked[::2, ::2] *= 1.02
    assert checkerboard(marked) == pytest.approx(0.005, rel=0.2)
    assert checkerboard(np.zeros((20, 20), np.float32)) == 0
