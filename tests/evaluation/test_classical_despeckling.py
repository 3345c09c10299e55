from collections.abc import Callable

import pytest

from confostain.arrays import Image
from confostain.evaluation.classical_despeckling import CLASSICAL_METHODS, ClassicalMethod, median
from confostain.evaluation.reference_metrics import psnr
from confostain.simulation.speckle import Speckle


@pytest.mark.parametrize("method", CLASSICAL_METHODS, ids=lambda method: method.name)
def test_classical_methods_remove_speckle_and_keep_the_mean(
    method: ClassicalMethod, tissue_image: Callable[..., Image]
) -> None:
    if not method.is_installed:
        pytest.skip(f"{method.module} is not installed")
    clean, noise = tissue_image(72), Speckle(8, pedestal=0.05)
    noisy, expected = noise.recorded(clean, 1), noise.expected(clean)
    made = method.run(noisy, noise, 1.0)
    assert made.shape == clean.shape
    assert psnr(made, expected) > psnr(noisy, expected) + 4
    assert made.mean() == pytest.approx(expected.mean(), rel=0.05)


def test_a_method_whose_module_is_missing_is_not_installed() -> None:
    assert ClassicalMethod("a", median).is_installed
    assert ClassicalMethod("b", median, module="scipy").is_installed
    assert not ClassicalMethod("c", median, module="no_such_module").is_installed
