from pathlib import Path

import numpy as np
import pytest

from confostain.errors import OptionError
from confostain.evaluation.domain_gap import CHANNELS, statistics
from confostain.imaging.optical_density import optical_density
from confostain.simulation.from_histology import REAL_SPREAD, simulate
from confostain.simulation.random_fields import random_field, smooth

HISTOLOGY = Path(__file__).parents[3] / "shared" / "data" / "he" / "skin_section2.tif"


def blobs(side: int = 256) -> np.ndarray:
    """Purple discs of 8 px on pink, uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side]
    disc = (y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 16
    return np.where(disc[..., None], (80, 60, 140), (225, 150, 190)).astype(np.uint8)


def test_nuclei_glow_and_the_seed_decides() -> None:
    rgb = blobs()
    pair = simulate(rgb, 3)
    assert pair.shape == (2, 256, 256)
    assert pair.dtype == np.float32
    assert 0 <= pair.min() <= pair.max() <= 1
    np.testing.assert_array_equal(simulate(rgb, 3), pair)
    assert not np.array_equal(simulate(rgb, 4), pair)
    nucleus = optical_density(rgb)[..., 0] > 0.3
    assert pair[1][nucleus].mean() > 1.3 * pair[1][~nucleus].mean()


def test_every_nucleus_is_seen() -> None:
    from confostain.imaging.nuclei import audit_nuclei

    rgb = blobs()
    for seed in range(5):
        assert audit_nuclei(simulate(rgb, seed)[1], rgb).invented_share < 0.05


def test_glass_is_dark() -> None:
    pair = simulate(np.full((128, 128, 3), 245, np.uint8), 0)
    assert pair.max() < 0.1


def test_a_small_image_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 64"):
        simulate(np.zeros((64, 63, 3), np.uint8), 0)


@pytest.mark.parametrize("wrong", [np.zeros((64, 64)), np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8)])
def test_only_rgb_of_8_bits_is_taken(wrong: np.ndarray) -> None:
    with pytest.raises(OptionError, match=r"expected uint8 \(h, w, 3\)"):
        simulate(wrong, 0)


def test_without_domain_randomisation_pairs_differ_less() -> None:
    rgb = blobs()
    spread = {wide: np.std([simulate(rgb, seed, wide).mean() for seed in range(12)]) for wide in (0.0, 2.0)}
    assert spread[0.0] < 0.8 * spread[2.0]


@pytest.mark.skipif(not HISTOLOGY.exists(), reason="the real H&E of ../shared is not here")
def test_the_median_simulation_has_the_statistics_of_real_scans() -> None:
    from confostain.io.readers.histology import open_histology

    with open_histology(HISTOLOGY) as slide:
        corners = [(3000, 3000), (1800, 4500), (2500, 3500), (3000, 5200), (2200, 2600), (2700, 4200)]
        pairs = [simulate(slide.read_region(corner, (512, 512), 0.75), k) for k, corner in enumerate(corners)]
    for index, channel in enumerate(CHANNELS):
        found = np.median([statistics(pair[index]) for pair in pairs], axis=0)
        spread = REAL_SPREAD[channel]
        ends = np.array([*spread.percentiles, spread.slow, spread.middle, spread.fine])
        slack = 0.1 * ends.mean(axis=1) + np.array([0.01] * 5 + [0] * 3)
        assert ((ends[:, 0] - slack <= found) & (found <= ends[:, 1] + slack)).all(), (channel, found)


@pytest.mark.parametrize("shape", [(70, 91), (128, 64)])
def test_wide_smoothing_on_blocks_is_smoothing(shape: tuple[int, int]) -> None:
    from scipy.ndimage import gaussian_filter

    image = np.random.default_rng(0).random(shape, np.float32)
    np.testing.assert_allclose(smooth(image, 8.0), gaussian_filter(image, 8.0), atol=0.02)


def test_a_random_field_has_median_one_and_its_strength() -> None:
    made = random_field((400, 400), 3.0, 0.4, np.random.default_rng(0))
    assert np.median(made) == pytest.approx(1, abs=0.05)
    assert np.log(made).std() == pytest.approx(0.4, abs=0.05)
