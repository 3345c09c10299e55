import numpy as np
import pytest

from confostain.arrays import Image
from confostain.data.noisy_patches import NoiseRange
from confostain.imaging.linear_stain import gareau
from confostain.simulation.phantom import Phantom
from confostain.training.validation import DespecklerValidation, StainerValidation


@pytest.fixture(scope="module")
def fields(phantom: Phantom) -> StainerValidation:
    return StainerValidation.of([phantom.histology(phantom.size.region)], side=128, fields=2)


def test_fields_are_the_same_every_time(phantom: Phantom, fields: StainerValidation) -> None:
    again = StainerValidation.of([phantom.histology(phantom.size.region)], side=128, fields=2)
    assert all(np.array_equal(*both) for both in zip(fields.pairs, again.pairs, strict=True))


def test_the_truth_scores_higher_than_a_closed_form(fields: StainerValidation) -> None:
    truths = iter(fields.truths)
    measures, picture = fields.evaluate(lambda pair: next(truths).astype(np.float32) / 255)
    linear, _ = fields.evaluate(lambda pair: gareau(pair).astype(np.float32) / 255)
    assert (measures["l1"], measures["nuclei f1"]) == (0, 1)
    assert measures["ssim"] == pytest.approx(1)
    assert linear["ssim to gareau"] == pytest.approx(1, abs=1e-3)
    assert measures["score"] > linear["score"]
    assert picture.shape == (2 * 128, 5 * 128, 3)


def test_despeckling_is_measured_in_decibels() -> None:
    rng = np.random.default_rng(0)
    slides = [rng.integers(60, 255, (220, 230)).astype(np.uint8)]
    validation = DespecklerValidation.of(slides, NoiseRange(looks=(4.0, 4.0)), 32)
    assert validation.noisy.shape == (16, 1, 192, 192)

    def off_by_a_tenth(noisy: Image) -> Image:
        assert noisy is validation.noisy
        return validation.clean + np.float32(0.1)

    measures, picture = validation.evaluate(off_by_a_tenth)
    assert measures["psnr"] == pytest.approx(20, abs=1e-3)
    assert picture.shape == (4 * 192, 3 * 192)
