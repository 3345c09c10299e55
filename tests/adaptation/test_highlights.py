"""Speckle that a despeckler leaves in highlights: few pixels, which every other measure overlooks."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from confostain.adaptation.despeckler import left_in_highlights
from confostain.simulation.speckle import Speckle


@pytest.mark.parametrize(("kept_above", "least", "most"), [(np.inf, 0.0, 0.1), (1.0, 0.5, 1.0), (0.0, 1.0, 1.0)])
def test_speckle_left_in_highlights_is_found(kept_above: float, least: float, most: float) -> None:
    reflected = np.full((256, 256), 0.3, np.float32)
    reflected[40:60, 40:60] = 1.5
    reflected = gaussian_filter(reflected, 3)
    noisy = Speckle(20, 0.5).recorded(reflected, 1)
    clean = np.where(noisy > kept_above, noisy, reflected)
    assert least <= left_in_highlights([noisy], [clean]) <= most
