import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.imaging.stain_colours import NEUTRAL, StainColours, fit_stain_colours, glass_level
from confostain.simulation.phantom import Phantom

PURPLE = StainColours(nucleus=(0.40, 0.62, 0.30), stroma=(0.10, 0.28, 0.14))
PALE = StainColours(nucleus=(0.25, 0.38, 0.24), stroma=(0.03, 0.20, 0.11))
LABORATORIES = {"neutral": NEUTRAL, "purple": PURPLE, "pale": PALE}


@pytest.fixture(scope="module")
def densities() -> np.ndarray:
    """Round nuclei of density 1 on stroma of density 1, and glass."""
    field = np.zeros((3, 400, 400), np.float32)
    field[1, :, 60:] = 1
    rows, columns = np.mgrid[:400, :400]
    for y in range(20, 400, 24):
        for x in range(80, 400, 24):
            nucleus = np.hypot(rows - y, columns - x) < 4.5
            field[0][nucleus], field[1][nucleus] = 1, 0
    return field


@pytest.mark.parametrize("name", LABORATORIES)
def test_the_colours_a_picture_was_painted_in_are_found(name: str, densities: np.ndarray) -> None:
    painted = LABORATORIES[name]
    found = fit_stain_colours([painted.picture(densities)])
    assert found.nucleus == pytest.approx(painted.nucleus, abs=0.02)
    assert found.stroma == pytest.approx(painted.stroma, abs=0.02)


@pytest.mark.parametrize("name", LABORATORIES)
def test_densities_and_picture_are_inverse(name: str) -> None:
    rgb = np.random.default_rng(0).integers(60, 256, (40, 30, 3), dtype=np.uint8)
    colours = LABORATORIES[name]
    again = colours.picture(colours.densities(rgb)).astype(int)
    assert np.abs(again - rgb).max() <= 1


@given(st.tuples(*[st.floats(0, 1.5)] * 2), st.sampled_from(sorted(LABORATORIES)))
def test_densities_are_counted_in_nuclei_and_stroma(amounts: tuple[float, float], name: str) -> None:
    colours = LABORATORIES[name]
    given_ = np.array([*amounts, 0], np.float32).reshape(3, 1, 1) * np.ones((3, 2, 2), np.float32)
    absorbed = amounts[0] * np.array(colours.nucleus) + amounts[1] * np.array(colours.stroma)
    expected = np.rint(255 * 10**-absorbed)
    assert np.abs(colours.picture(given_)[0, 0] - expected).max() <= 1


def test_an_area_without_density_is_white(densities: np.ndarray) -> None:
    assert (PURPLE.picture(np.zeros_like(densities)) == 255).all()


def test_recolouring_carries_nuclei_and_stroma_over(densities: np.ndarray) -> None:
    recoloured = PALE.picture(PURPLE.densities(PURPLE.picture(densities)))
    found = fit_stain_colours([recoloured])
    assert found.nucleus == pytest.approx(PALE.nucleus, abs=0.02)
    assert found.stroma == pytest.approx(PALE.stroma, abs=0.02)


@pytest.mark.parametrize("glass", [(255, 255, 255), (243, 241, 244), (230, 228, 231)])
def test_glass_is_what_is_bright_and_grey(glass: tuple[int, int, int], densities: np.ndarray) -> None:
    rgb = NEUTRAL.picture(densities)
    tinted = np.rint(rgb * (np.array(glass) / 255)).astype(np.uint8)
    assert glass_level([tinted]) == pytest.approx(glass, abs=1)


def test_without_glass_the_brightest_tissue_does_not_become_white_of_another_hue(densities: np.ndarray) -> None:
    red, green, blue = glass_level([NEUTRAL.picture(densities[:, :, 60:])])
    assert red == green == blue


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((200, 200, 3), 250, np.uint8), "0 clear nuclei"),
        (np.full((200, 200, 3), (210, 120, 160), np.uint8), "0 clear nuclei"),
    ],
)
def test_what_shows_no_nuclei_is_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(SlideError, match=f"mine.jpg: {message}"):
        fit_stain_colours([image], "mine.jpg")


def test_one_dye_alone_is_refused(densities: np.ndarray) -> None:
    blue = StainColours(nucleus=(0.5, 0.4, 0.2), stroma=(0.1, 0.0801, 0.04))
    with pytest.raises(SlideError, match="degrees of colour only"):
        fit_stain_colours([blue.picture(densities)])


def test_the_phantoms_colours_are_found() -> None:
    size = Size(900, 700)
    found = fit_stain_colours([Phantom(size, 1).histology(size.region)])
    assert found.nucleus[0] > 2 * found.stroma[0]  # haematoxylin takes red light
    assert found.stroma[1] > 2 * found.stroma[0]  # eosin takes green
