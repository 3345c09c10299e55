from pathlib import Path

import numpy as np
import pytest

from confostain.data import pairs
from confostain.data.pairs import PairSource, read_histology, tissue_crop
from confostain.errors import ConfigError
from confostain.imaging.histology_tissue import tissue_share


@pytest.fixture
def slides(histology: Path) -> list[np.ndarray]:
    return read_histology([str(histology)], 0.75, at_least=96)


def test_a_batch_depends_on_nothing_but_its_number(slides: list[np.ndarray]) -> None:
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


def test_pair_and_truth_show_the_same_place(slides: list[np.ndarray]) -> None:
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
    shares = [tissue_share(tissue_crop([slide], 64, rng)) for _ in range(100)]
    assert np.mean([share > 0.5 for share in shares]) > 0.6
    assert min(shares) == 0


def test_histology_that_is_too_small_is_named(histology: Path) -> None:
    with pytest.raises(ConfigError, match=r"he\.png: 260 x 200 px .* at least 512"):
        read_histology([str(histology)], 0.75, at_least=512)
    with pytest.raises(ConfigError, match="no H&E files"):
        read_histology([], 0.75, 96)
