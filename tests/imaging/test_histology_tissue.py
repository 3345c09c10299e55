from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from confostain.geometry import Region
from confostain.imaging.histology_tissue import TISSUE_DENSITY, tissue_mask, tissue_share
from confostain.io.readers.histology import open_histology
from confostain.simulation.phantom import Phantom

SECTION = Path(__file__).parents[3] / "shared" / "data" / "he" / "skin_section2.tif"


def field(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(150, 256, (height, width, 3), np.uint8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.floats(200, 255))
def test_tissue_is_what_absorbs_more_than_glass_in_all_colours_together(
    height: int, width: int, seed: int, white: float
) -> None:
    rgb = field(height, width, seed)
    density = -np.log10(np.minimum(rgb / white, 1)).sum(axis=-1)
    clear = np.abs(density - TISSUE_DENSITY) > 1e-5
    mask = tissue_mask(rgb, white)
    assert mask.shape == (height, width)
    assert np.array_equal(mask[clear], (density > TISSUE_DENSITY)[clear])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_luminance_counts_as_that_grey_in_every_colour(height: int, width: int, seed: int) -> None:
    grey = field(height, width, seed)[..., 0]
    assert np.array_equal(tissue_mask(grey), tissue_mask(np.repeat(grey[..., np.newaxis], 3, axis=2)))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_the_share_is_the_mean_of_the_mask_on_every_eighth_pixel(height: int, width: int, seed: int) -> None:
    rgb = field(height, width, seed)
    assert tissue_share(rgb, 240) == tissue_mask(rgb, 240)[::8, ::8].mean()


@pytest.mark.parametrize(
    ("colour", "is_tissue"),
    [((245, 244, 246), False), ((235, 233, 236), False), ((230, 200, 220), True), ((90, 60, 140), True)],
)
def test_glass_is_not_tissue_and_pale_stroma_is(colour: tuple[int, int, int], is_tissue: bool) -> None:
    assert tissue_share(np.full((20, 20, 3), colour, np.uint8)) == is_tissue


def test_glass_in_dim_light_is_glass_once_its_grey_level_is_known() -> None:
    dim = np.full((20, 20, 3), 215, np.uint8)
    assert tissue_share(dim) == 1
    assert tissue_share(dim, white=215) == 0


def test_the_mask_is_the_phantoms_tissue(phantom: Phantom) -> None:
    region = Region(0, 0, phantom.size.width, 200)
    mask, truth = tissue_mask(phantom.histology(region)), phantom.tissue(region)
    assert (mask & truth).sum() > 0.9 * truth.sum()  # all but lumina and clefts
    assert not (mask & ~truth).sum() > 0.02 * truth.size


@pytest.mark.skipif(not SECTION.exists(), reason="the real H&E of ../shared is not here")
def test_colours_and_luminance_of_real_tissue_agree() -> None:
    with open_histology(SECTION) as slide:
        rgb = slide.read_region((0, 0), slide.size_at(3.0), 3.0)
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    assert 0.4 < tissue_mask(rgb).mean() < 0.6
    assert (tissue_mask(rgb) == tissue_mask(grey)).mean() > 0.99
