import numpy as np
import pytest

from confostain.imaging.stain_separation import (
    EOSIN,
    HAEMATOXYLIN,
    haematoxylin_eosin_proportion,
    separate_stains,
)


def dyed(haematoxylin: float, eosin: float) -> np.ndarray:
    """One colour, uint8 (4, 4, 3), of so much of both dyes in optical density."""
    h, e = (np.array(dye) / np.linalg.norm(dye) for dye in (HAEMATOXYLIN, EOSIN))
    colour = np.rint(255 * 10 ** -(haematoxylin * h + eosin * e))
    return np.broadcast_to(colour.astype(np.uint8), (4, 4, 3))


@pytest.mark.parametrize(("haematoxylin", "eosin"), [(0.5, 0.0), (0.0, 0.4), (0.3, 0.25)])
def test_the_dyes_are_told_apart(haematoxylin: float, eosin: float) -> None:
    found = separate_stains(dyed(haematoxylin, eosin))
    assert found.shape == (2, 4, 4)
    np.testing.assert_allclose(found[:, 0, 0], [haematoxylin, eosin], atol=0.01)


def test_the_proportion_is_that_of_the_dyes_and_glass_has_none() -> None:
    assert haematoxylin_eosin_proportion(dyed(0.3, 0.1)) == pytest.approx(0.75, abs=0.02)
    half = np.concatenate([dyed(0.3, 0.1), np.full((4, 4, 3), 255, np.uint8)])
    assert haematoxylin_eosin_proportion(half) == pytest.approx(0.75, abs=0.02)
    assert np.isnan(haematoxylin_eosin_proportion(np.full((4, 4, 3), 255, np.uint8)))
