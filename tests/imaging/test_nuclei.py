from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

import confostain
from confostain.errors import OptionError
from confostain.geometry import Region
from confostain.imaging.linear_stain import beer_lambert, gareau
from confostain.imaging.nuclei import (
    Agreement,
    Nuclei,
    agreement,
    audit_nuclei,
    detect_nuclei,
    match_nuclei,
    nuclei_in_fluorescence,
    nuclei_in_stain,
)
from confostain.simulation.phantom import Phantom

SKIN = Path(__file__).parents[3] / "shared" / "data" / "cm" / "skin_a"
CENTRES = [(20.0, 20.0), (20.0, 60.0), (60.0, 24.0), (70.0, 70.0)]

Image = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]


def discs(radius: float, height: float = 0.5, side: int = 96) -> Image:
    """Discs of one radius at CENTRES on a slope."""
    y, x = np.mgrid[:side, :side]
    image = 0.2 + 0.001 * y
    for row, column in CENTRES:
        image += height * (np.hypot(y - row, x - column) <= radius)
    return image.astype(np.float32)


def nuclei(*yx: tuple[float, float], contrast: float = 1.0) -> Nuclei:
    return Nuclei(np.array(yx, np.float64).reshape(-1, 2), np.full(len(yx), contrast, np.float32))


def blurred(rgb: Rgb, sigma: float) -> Rgb:
    return np.rint(gaussian_filter(rgb.astype(np.float32), (sigma, sigma, 0))).astype(np.uint8)


@pytest.mark.parametrize("radius", [2.0, 3.0, 4.0, 5.0, 6.0])
def test_discs_are_found_where_they_are_with_their_height_as_contrast(radius: float) -> None:
    found = detect_nuclei(discs(radius), 0.05)
    assert sorted(map(tuple, found.yx.tolist())) == CENTRES
    assert found.contrast == pytest.approx(0.5, rel=0.2)


def test_neither_lines_nor_slopes_nor_large_patches_are_nuclei() -> None:
    y, x = np.mgrid[:96, :96]
    line = np.where(np.abs(y - x - 3) < 3, 0.8, 0.1).astype(np.float32)
    assert len(detect_nuclei(gaussian_filter(line, 1), 0.05)) == 0
    assert len(detect_nuclei((x / 96).astype(np.float32), 0.05)) == 0
    patch = 0.5 * np.exp(-((y - 48) ** 2 + (x - 48) ** 2) / (2 * 20**2))
    assert len(detect_nuclei(patch.astype(np.float32), 0.05)) == 0


def test_a_spindle_is_one_nucleus() -> None:
    y, x = np.mgrid[:64, :64]
    spindle = 0.6 * (((x - 30) / 6.5) ** 2 + ((y - 30) / 2.2) ** 2 <= 1)
    found = detect_nuclei(spindle.astype(np.float32), 0.1)
    assert len(found) == 1
    assert np.abs(found.yx - 30).max() <= 2


def test_no_two_nuclei_are_closer_than_three_pixels() -> None:
    noise = np.random.default_rng(0).random((128, 128), dtype=np.float32)
    yx = detect_nuclei(noise, 0.01).yx
    apart = np.abs(yx[:, None] - yx[None]).max(axis=-1) + 99 * np.eye(len(yx))
    assert len(yx) > 100
    assert apart.min() > 3


def test_an_image_of_any_size_or_of_nothing_has_no_nuclei() -> None:
    for shape in ((1, 1), (1, 40), (3, 2), (64, 64)):
        found = nuclei_in_fluorescence(np.full(shape, 0.3, np.float32))
        assert (len(found), found.yx.shape, found.clear.shape) == (0, (0, 2), (0,))
    assert len(nuclei_in_stain(np.zeros((20, 20, 3), np.uint8))) == 0


def test_the_clear_half_is_the_stronger_one() -> None:
    image = discs(3.0, 0.1) + (discs(3.0, 0.4) - discs(3.0, 0.0)) * (np.arange(96) < 40)[:, None]
    found = nuclei_in_fluorescence(image)
    assert sorted(found.yx[found.clear][:, 0].tolist()) == [20, 20]
    assert len(found.above(0.3)) == 2
    assert len(nuclei((1, 1), (2, 2), (3, 3)).clear) == 3
    assert nuclei((1, 1), (2, 2), (3, 3)).clear.sum() == 2


def test_matching_is_one_to_one_and_nearest_first() -> None:
    a, b = nuclei((0, 0), (0, 4), (50, 50)), nuclei((0, 3), (0, 30), (50, 55))
    assert match_nuclei(a, b).tolist() == [[1, 0], [2, 2]]  # (0, 0) is 3 px from what (0, 4) has taken
    assert match_nuclei(a, b, max_distance=4.9).tolist() == [[1, 0]]
    assert match_nuclei(nuclei(), b).shape == (0, 2)
    assert match_nuclei(a, nuclei((90, 90))).shape == (0, 2)


def test_precision_recall_and_f1_by_hand() -> None:
    found, there = nuclei((0, 0), (10, 10), (20, 20), (90, 0)), nuclei((1, 0), (10, 12), (40, 40))
    result = agreement(found, there)
    assert result == Agreement(detected=4, correct=2, true=3, recalled=2)
    assert (result.precision, result.recall) == (0.5, 2 / 3)
    assert result.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert result + result == Agreement(8, 4, 6, 4)
    nothing = agreement(nuclei(), nuclei())
    assert (nothing.precision, nothing.recall, nothing.f1) == (1, 1, 1)
    assert agreement(nuclei((0, 0)), nuclei((50, 50))).f1 == 0


def test_half_the_contrast_is_enough_for_a_partner() -> None:
    strong, weak, faint = (nuclei((5, 5), contrast=contrast) for contrast in (0.5, 0.3, 0.1))
    assert agreement(strong, weak) == Agreement(detected=1, correct=1, true=0, recalled=0)
    assert agreement(strong, faint) == Agreement(detected=1, correct=0, true=0, recalled=0)
    assert agreement(weak, strong) == Agreement(detected=0, correct=0, true=1, recalled=1)


@pytest.mark.parametrize("stain", [gareau, beer_lambert])
def test_haematoxylin_shows_f_and_not_r(stain: Callable[[Image], Rgb]) -> None:
    disc, even = discs(3.0), np.full((96, 96), 0.4, np.float32)
    shown = nuclei_in_stain(stain(np.stack([even, disc])))
    assert sorted(map(tuple, shown.yx.tolist())) == CENTRES
    assert len(nuclei_in_stain(stain(np.stack([disc, even])))) == 0


@pytest.fixture(scope="module")
def painted(phantom: Phantom) -> Image:
    return phantom.pair(Region(0, 0, 700, 523))


def test_the_audit_is_exact_on_discs() -> None:
    f = discs(3.0)
    rgb = gareau(np.stack([np.zeros_like(f), f]))
    audit = audit_nuclei(f, rgb)
    assert (audit.missing_share, audit.invented_share) == (0, 0)
    assert len(audit.matched) == 2  # the clear half of four
    lost = rgb.copy()
    lost[:, :] = rgb[0, 0]
    audit = audit_nuclei(f, lost, microns_per_pixel=1.0)
    assert (audit.missing_share, audit.invented_share, len(audit.missing)) == (1, 0, 2)
    assert audit.missing_per_mm2 == pytest.approx(2 / (0.096 * 0.096))
    audit = audit_nuclei(np.full_like(f, 0.2), rgb)
    assert (audit.missing_share, audit.invented_share, len(audit.invented)) == (0, 1, 2)
    assert audit.invented_per_mm2 == pytest.approx(2 / (0.072 * 0.072))


def test_the_audit_proves_itself_on_painted_skin(painted: Image) -> None:
    """Nothing missing in the closed form, nearly all in what was moved, more and more in what is blurred."""
    rgb = gareau(painted)
    good = audit_nuclei(painted[1], rgb)
    assert good.missing_share < 0.03
    assert good.invented_share < 0.03
    assert audit_nuclei(painted[1], np.roll(rgb, 12, axis=1)).missing_share > 0.65
    shares = [audit_nuclei(painted[1], blurred(rgb, sigma)).missing_share for sigma in (1, 2, 3)]
    assert good.missing_share < shares[0] < shares[1] < shares[2]
    assert shares[1] > 0.2


@pytest.mark.skipif(not SKIN.is_dir(), reason="the real scans beside the checkout are not there")
def test_the_audit_proves_itself_on_real_skin() -> None:
    with confostain.open_slide(SKIN) as slide:
        pair = slide.read_region((0, 0), (1024, 1024))
    rgb = gareau(pair)
    good = audit_nuclei(pair[1], rgb)
    assert good.missing_share < 0.01
    assert good.invented_share < 0.02
    assert audit_nuclei(pair[1], np.roll(rgb, 12, axis=0)).missing_share == pytest.approx(0.8, abs=0.03)
    assert audit_nuclei(pair[1], blurred(rgb, 2)).missing_share > 0.15


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match="of one field"):
        audit_nuclei(np.zeros((8, 8), np.float32), np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(OptionError, match="of one field"):
        audit_nuclei(np.zeros((0, 8), np.float32), np.zeros((0, 8, 3), np.uint8))
