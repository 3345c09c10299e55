"""Displacement of fluorescence against reflectance: found where it is clear, None where it is not."""

from pathlib import Path

import numpy as np
import pytest

from confostain.geometry import Region
from confostain.imaging.registration import displacement
from confostain.slide import open_slide

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def pair(phantom_scan: Path) -> np.ndarray:
    with open_slide(phantom_scan) as slide:
        return slide.read(Region(0, 0, *slide.size))


def apart(pair: np.ndarray, dx: int, dy: int) -> tuple[np.ndarray, np.ndarray]:
    """R and F cut so that a point at (x, y) in R lies at (x + dx, y + dy) in F."""
    _, height, width = pair.shape
    r = pair[0, max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
    f = pair[1, max(0, -dy) : height + min(0, -dy), max(0, -dx) : width + min(0, -dx)]
    return r, f


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (0, -2), (-8, 5), (20, 13), (-60, 40)])
def test_a_displacement_is_found_to_the_pixel(dx: int, dy: int, pair: np.ndarray) -> None:
    assert displacement(*apart(pair, dx, dy)) == (dx, dy)


@pytest.mark.parametrize("change", ["mirrored", "turned", "another place", "noise", "constant", "small"])
def test_where_channels_do_not_belong_together_there_is_no_answer(change: str, pair: np.ndarray) -> None:
    r, f = pair
    other = {
        "mirrored": f[:, ::-1],
        "turned": f[::-1, ::-1],
        "another place": np.roll(f, (260, 350), (0, 1)),
        "noise": np.random.default_rng(0).random(f.shape, np.float32),
        "constant": np.zeros_like(f),
        "small": f[:100, :100],
    }[change]
    assert displacement(r[: other.shape[0], : other.shape[1]], other) is None


@pytest.mark.parametrize("name", ["skin_a", "skin_b", "prostate"])
def test_real_pairs_raise_no_false_alarm(name: str) -> None:
    files = {
        "skin_b": ("cm/skin_b/R.jpg", "cm/skin_b/F.jpg"),
        "prostate": ("otls/prostate/eosin.tif", "otls/prostate/nuclear.tif"),
    }
    if not SHARED.is_dir():
        pytest.skip("the images in ../shared are not at hand")
    if name == "skin_a":
        slide = open_slide(SHARED / "cm/skin_a")
    else:
        r, f = (SHARED / file for file in files[name])
        slide = open_slide(reflectance=r, fluorescence=f)
    with slide:
        found = displacement(*slide.read(Region(0, 0, *slide.size)))
    assert found == ((0, 0) if name == "prostate" else None)
