from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from confostain.errors import SlideError
from confostain.simulation.speckle import Image, Speckle
from confostain.simulation.speckle_fit import estimate_speckle

SKIN_B = Path(__file__).parents[3] / "shared/data/cm/skin_b/R.jpg"


@cache
def tissue(seed: int, size: int = 400) -> Image:
    """Smooth tissue, brightness from about 0.05 to 0.9, with faint fibres."""
    rng = np.random.default_rng(seed)
    slow = gaussian_filter(rng.standard_normal((size, size)), 15)
    fibres = gaussian_filter(rng.standard_normal((size, size)), (1.5, 12))
    brightness = 0.3 * np.exp(0.6 * slow / slow.std() + 0.03 * fibres / fibres.std())
    return brightness.clip(0.03, 0.9).astype(np.float32)


@given(
    looks=st.floats(4, 80), grain=st.sampled_from([0.0, 0.5, 0.9]), pedestal=st.floats(0, 0.15), seed=st.integers(0, 2)
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_planted_noise_is_found_again(looks: float, grain: float, pedestal: float, seed: int) -> None:
    planted = Speckle(looks, grain, pedestal, gain=0.8, read_noise=0.004)
    found = estimate_speckle(planted.recorded(tissue(seed), seed))
    assert found.looks == pytest.approx(looks, rel=0.3)
    assert found.pedestal == pytest.approx(pedestal, abs=0.03)
    assert found.grain == pytest.approx(grain, abs=0.15 if grain else 0.4)  # white noise has no width to measure


def test_the_real_scan_lies_in_the_known_ranges() -> None:
    if not SKIN_B.exists():
        pytest.skip("the real scan in ../shared is not at hand")
    from PIL import Image as Pillow

    noise = estimate_speckle(np.asarray(Pillow.open(SKIN_B).convert("L"), np.float32) / 255)
    assert 35 < noise.looks < 60
    assert 0.45 < noise.grain < 0.6
    assert 15 < noise.pedestal * 255 < 25
    assert noise.read_noise * 255 < 1.5


@pytest.mark.parametrize("image", [np.zeros((200, 200)), np.full((200, 200), 0.4), np.ones((50, 400))])
def test_images_without_speckle_are_refused(image: np.ndarray) -> None:
    with pytest.raises(SlideError, match="expected"):
        estimate_speckle(image.astype(np.float32))
