from collections.abc import Callable

import pytest

from confostain.arrays import Image
from confostain.evaluation.classical_despeckling import CLASSICAL_METHODS, ClassicalMethod
from confostain.evaluation.reference_metrics import psnr
from confostain.simulation.speckle import Speckle


@pytest.mark.parametrize("method", CLASSICAL_METHODS, ids=lambda method: method.name)
def test_classical_methods_remove_speckle_and_keep_the_mean(
    method: ClassicalMethod, tissue_image: Callable[..., Image]
) -> None:
    clean, noise = tissue_image(72), Speckle(8, pedestal=0.05)
    noisy, expected = noise.recorded(clean, 1), noise.expected(clean)
    made = method.run(noisy, noise, 1.0)
    assert made.shape == clean.shape
    assert psnr(made, expected) > psnr(noisy, expected) + 4
    assert made.mean() == pytest.approx(expected.mean(), rel=0.05)
