from pathlib import Path

import numpy as np
import pytest

from confostain.data import pairs
from confostain.data.pairs import PairSource, tissue_crop
from confostain.data.training_slides import SlideReading, TrainingSlide, read_slides
from confostain.imaging.histology_tissue import tissue_share


@pytest.fixture
def slides(histology: Path) -> list[TrainingSlide]:
    return read_slides([str(histology)], SlideReading(0.75, 96))


def test_a_batch_depends_on_nothing_but_its_number(slides: list[TrainingSlide]) -> None:
    source = PairSource(slides, 32, 3, intensity_jitter=(0.8, 1.2), region=96)
    inputs, truths = source.draw(5, 40)
    pairs._region.cache_clear()
    again = PairSource(slides, 32, 3, intensity_jitter=(0.8, 1.2), region=96)
    again.draw(5, 2)
    for made, expected in zip(again.draw(5, 40), (inputs, truths), strict=True):
        np.testing.assert_array_equal(made, expected)
    assert inputs.shape == (3, 2, 32, 32)
    assert truths.shape == (3, 3, 32, 32)
    for other in (source.draw(6, 40), source.draw(5, 41), source.draw(5, 40, rank=1)):
        assert not np.array_equal(other[0], inputs)


def test_pair_and_truth_show_the_same_place(slides: list[TrainingSlide]) -> None:
    source = PairSource(slides, 48, 8, region=96)
    inputs, truths = source.draw(1, 0)
    correlations = [
        np.corrcoef(pair[1].ravel(), 1 - truth[0].ravel())[0, 1] for pair, truth in zip(inputs, truths, strict=True)
    ]
    assert np.median(correlations) > 0.3  # nuclei glow where red light is taken away
    shifted = [
        np.corrcoef(np.roll(pair[1], 16, 0).ravel(), 1 - truth[0].ravel())[0, 1]
        for pair, truth in zip(inputs, truths, strict=True)
    ]
    assert np.median(shifted) < np.median(correlations) / 2


def test_crops_show_tissue_and_now_and_then_glass() -> None:
    slide = np.full((400, 400, 3), 250, np.uint8)
    slide[:, 300:] = (200, 100, 150)
    rng = np.random.default_rng(0)
    shares = [tissue_share(tissue_crop([TrainingSlide([slide])], 64, rng)) for _ in range(100)]
    assert np.mean([share > 0.5 for share in shares]) > 0.6
    assert min(shares) == 0


@pytest.mark.parametrize("scales", [(0.4, 0.4), (0.4, 1.0), (1.0, 1.0)])
def test_pairs_are_simulated_at_the_pixel_sizes_asked_for(scales: tuple[float, float], monkeypatch) -> None:
    asked = []

    def simulated(rgb, rng, variety, microns):
        asked.append((rgb.shape, microns))
        return np.zeros((2, *rgb.shape[:2]), np.float32)

    monkeypatch.setattr(pairs, "simulate", simulated)
    tissue = np.full((500, 500, 3), (200, 120, 170), np.uint8)
    PairSource([TrainingSlide([tissue], 0.5)], 32, 4, region=96, microns_per_pixel=scales).draw(3, 0)
    assert {shape for shape, _ in asked} == {(96, 96, 3)}
    assert all(scales[0] * 0.999 <= microns <= scales[1] * 1.001 for _, microns in asked)
    assert len({microns for _, microns in asked}) == (1 if scales[0] == scales[1] else len(asked))


def test_unpaired_patches_are_drawn_only_where_they_are_wanted(slides: list[TrainingSlide]) -> None:
    source = PairSource(slides, 32, 3, region=96)
    assert source.unpaired((1, 2)).shape == (3, 3, 32, 32)
    assert source.unpaired((1, 2), wanted=False).shape == (0, 3, 32, 32)


def test_some_regions_have_the_fewest_nuclei(slides: list[TrainingSlide]) -> None:
    def mean_number(share: float) -> float:
        source = PairSource(slides, 96, 4, region=96, without_nuclei=share)
        batches = [source.draw(1, step)[1] for step in range(0, 24, 8)]
        rgbs = [np.rint(rgb.transpose(1, 2, 0) * 255).astype(np.uint8) for batch in batches for rgb in batch]
        return float(np.mean([pairs._number_of_nuclei(rgb) for rgb in rgbs if tissue_share(rgb) > 0.5]))

    assert mean_number(1.0) < mean_number(0.0)
