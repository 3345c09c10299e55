from __future__ import annotations

import numpy as np
import pytest

from confostain.errors import OptionError
from confostain.evaluation.artefacts import empty_field_test, pale_cyan, seam_index
from confostain.imaging.linear_stain import gareau


def test_the_seam_index_by_hand() -> None:
    """Steps of 1 everywhere along a row, of 3 where tiles of 8 px meet; none down a column."""
    levels = np.cumsum(np.where(np.arange(32) % 8 == 0, 3, 1))
    rgb = np.broadcast_to(levels[None, :, None], (32, 32, 3)).astype(np.uint8)
    across = 3 * 32 * 3 / (2 * 3 * 32)  # three borders in either direction, half of them without a step
    elsewhere = (28 * 32 * 1) / (2 * 28 * 32)
    assert seam_index(rgb, 8) == pytest.approx(across / elsewhere)
    assert seam_index(rgb[:, ::-1], 8) == seam_index(rgb, 8)  # downhill too
    assert seam_index(rgb, 7) < 1


def test_an_image_without_borders_in_it_has_no_seams() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    assert seam_index(noise, 32) == pytest.approx(1, abs=0.02)
    assert seam_index(np.full((64, 64, 3), 240, np.uint8), 16) == 1
    with pytest.raises(OptionError, match="a tile of 512 px"):
        seam_index(noise, 512)


def test_the_empty_field_test_finds_grey_and_textured_backgrounds() -> None:
    perfect = empty_field_test(lambda pair: np.full((*pair.shape[1:], 3), 255, np.uint8))
    assert (perfect.mean, perfect.standard_deviation, perfect.below_white) == (255, 0, 0)
    closed = empty_field_test(gareau)
    assert 250 < closed.mean < 255
    assert 0.2 < closed.standard_deviation < 3

    def papery(pair: np.ndarray) -> np.ndarray:
        rgb = np.full((*pair.shape[1:], 3), 230, np.uint8)
        rgb[::2] = 210
        rgb[:, :64] = 253
        return rgb

    grey_paper = empty_field_test(papery)
    assert grey_paper.mean == pytest.approx(220 * 0.75 + 253 * 0.25)
    assert grey_paper.standard_deviation > 10
    assert grey_paper.below_white == 0.75


@pytest.mark.parametrize(
    ("colour", "is_cyan"),
    [
        ((200, 225, 235), True),  # a bluish white rim
        ((170, 170, 180), True),  # bluish grey
        ((235, 225, 240), False),  # pale pink: green below red
        ((252, 253, 255), False),  # white
        ((80, 100, 120), False),  # dark
        ((230, 180, 215), False),  # eosin
        ((110, 90, 160), False),  # haematoxylin
    ],
)
def test_pale_cyan_is_a_colour_that_h_and_e_has_not(colour: tuple[int, int, int], is_cyan: bool) -> None:
    rgb = np.full((4, 6, 3), colour, np.uint8)
    rgb[0, 0] = (235, 225, 240)
    assert pale_cyan(rgb).shape == (4, 6)
    assert pale_cyan(rgb).sum() == (23 if is_cyan else 0)
