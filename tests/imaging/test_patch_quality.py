from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from confostain.geometry import Region
from confostain.imaging.optical_density import optical_density
from confostain.imaging.patch_quality import (
    OVERVIEW_STEP,
    HistologyBackground,
    Rgb,
    find_background,
    rejection_reason,
    sharpness,
)
from confostain.simulation.phantom import Phantom

GROUND = HistologyBackground(243, np.ones((16, 16), bool), 0.7)


@pytest.fixture
def skin(phantom: Phantom) -> Rgb:
    """Painted H&E without glass."""
    return phantom.histology(Region(150, 150, 256, 256))


def disc(radius: int, at: tuple[int, int] = (128, 128)) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:256, :256]
    return (y - at[0]) ** 2 + (x - at[1]) ** 2 <= radius**2


def blurred(rgb: Rgb, sigma: float) -> Rgb:
    return np.stack([ndimage.gaussian_filter(rgb[..., colour], sigma) for colour in range(3)], axis=-1)


def behind(rgb: Rgb, colour: tuple[int, int, int], mask: npt.NDArray[np.bool_]) -> Rgb:
    """The picture with something transparent of that colour on it."""
    return np.where(mask[..., None], rgb * (np.array(colour) / 255), rgb).astype(np.uint8)


def test_good_tissue_is_kept(skin: Rgb) -> None:
    assert rejection_reason(skin, GROUND) is None


@pytest.mark.parametrize("pen", [(40, 70, 200), (20, 140, 60), (20, 150, 160), (70, 70, 72)])
def test_ink_is_seen_on_tissue_and_on_glass(skin: Rgb, pen: tuple[int, int, int]) -> None:
    torn = np.where(disc(60)[..., None], np.uint8(243), skin)
    assert rejection_reason(behind(torn, pen, disc(20)), GROUND) == "ink"
    assert rejection_reason(behind(torn, pen, disc(4, (132, 132))), GROUND) is None
    if pen[2] != max(pen):  # blue over eosin is purple
        assert rejection_reason(behind(skin, pen, disc(20)), GROUND) == "ink"


@pytest.mark.parametrize("dye", [(89, 82, 161), (217, 52, 201)])
def test_pure_dyes_are_no_ink(skin: Rgb, dye: tuple[int, int, int]) -> None:
    torn = np.where(disc(60)[..., None], np.uint8(243), skin)
    assert rejection_reason(behind(torn, dye, disc(20)), GROUND) is None


def test_layers_on_layers_are_a_fold_and_a_hair_is_none(phantom: Phantom) -> None:
    skin = phantom.histology(Region(300, 100, 256, 256))
    assert rejection_reason(skin, GROUND) is None
    fold = np.where(disc(30, (60, 128))[..., None], skin.astype(float) ** 3 / 243**2, skin).astype(np.uint8)
    assert rejection_reason(fold, GROUND) == "folded"
    assert (
        rejection_reason(fold, HistologyBackground(243, GROUND.tissue, 2.0)) is None
    )  # where the whole slide is that dark
    hair = skin.copy()
    hair[:, 100:116] = (60, 20, 50)
    assert rejection_reason(hair, GROUND) is None


@pytest.mark.parametrize("sigma", [1.5, 2.0, 4.0, 10.0])
def test_blur_is_seen(skin: Rgb, sigma: float) -> None:
    assert rejection_reason(blurred(skin, sigma), GROUND) == "out of focus"
    halves = skin.copy()
    halves[:100] = blurred(skin, sigma)[:100]  # less than half of the patch
    assert rejection_reason(halves, GROUND) is None


def test_sharpness_does_not_depend_on_contrast_or_empty_parts(skin: Rgb) -> None:
    density = optical_density(skin).mean(axis=-1)
    half_empty = density.copy()
    half_empty[:, 128:] = 0.02
    assert sharpness(density * 0.5) == pytest.approx(sharpness(density), rel=0.05)
    assert sharpness(half_empty) == pytest.approx(sharpness(density), rel=0.15)
    assert sharpness(np.zeros_like(density)) == 0


def overview(paint: npt.NDArray[np.bool_], colour: tuple[int, int, int] = (220, 170, 200), glass: int = 243) -> Rgb:
    noise = np.random.default_rng(0).normal(0, 1, paint.shape)[..., None]
    return (np.where(paint[..., None], colour, glass) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("glass", [225, 243, 253])
@pytest.mark.parametrize("colour", [(150, 60, 130), (222, 165, 205)])
def test_tissue_is_told_from_glass_whatever_the_light(colour: tuple[int, int, int], glass: int) -> None:
    ground = find_background(overview(disc(80), colour, glass))
    found = ground.tissue
    assert ground.white == pytest.approx(glass, abs=3)
    assert found[disc(78)].all()
    assert not found[~disc(84)].any()


def test_pictures_of_one_kind_are_all_glass_or_all_tissue() -> None:
    assert not find_background(overview(disc(0) & False)).tissue.any()
    assert find_background(overview(disc(500), (200, 120, 170))).tissue.all()


def test_lumina_belong_to_the_tissue_and_dust_does_not() -> None:
    found = find_background(overview((disc(80) & ~disc(10)) | disc(1, (20, 20)))).tissue
    assert found[disc(70)].all()
    assert not found[:30, :30].any()
    assert not find_background(overview(disc(100) & ~disc(60))).tissue[128, 128]


def test_the_share_of_tissue_is_that_of_the_region() -> None:
    tissue = np.zeros((20, 20), bool)
    tissue[:, :5] = True
    ground = HistologyBackground(255, tissue, 0.7)
    step = OVERVIEW_STEP
    assert ground.tissue_share(Region(0, 0, 10 * step, 10 * step)) == 0.5
    assert ground.tissue_share(Region(5 * step, 0, 10 * step, 10 * step)) == 0
    assert ground.tissue_share(Region(25 * step, 0, 10 * step, 10 * step)) == 0  # past the overview's last pixel


def test_folds_are_judged_by_the_slides_own_darkness() -> None:
    assert find_background(overview(disc(80))).fold_density == 0.7
    assert find_background(overview(disc(80), (40, 20, 60))).fold_density > 1.2


BONE = Path(__file__).parents[3] / "shared" / "data" / "he_other" / "osteosarcoma"


@pytest.mark.skipif(not BONE.is_dir(), reason="real H&E lies beside the checkout, in ../shared; absent here")
@pytest.mark.parametrize(
    "name", ["Viable___Case-4-C27-32431-19828_114.jpg", "Non-Tumor___Case-48-P5-C18-17610-25605_104.jpg"]
)
def test_real_tissue_is_kept_until_it_is_blurred(name: str) -> None:
    real = np.asarray(Image.open(BONE / name).convert("RGB"))
    ground = find_background(real.reshape(64, 16, 64, 16, 3).mean(axis=(1, 3)).astype(np.uint8))
    assert ground.tissue_share(Region(0, 0, 1024, 1024)) > 0.9
    assert rejection_reason(real, ground) is None
    assert rejection_reason(blurred(real, 2), ground) == "out of focus"
