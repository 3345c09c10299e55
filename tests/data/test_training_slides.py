from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from confostain.data.training_slides import SlideReading, TrainingSlide, read_histology, read_slides
from confostain.errors import ConfigError, SlideError
from confostain.geometry import Size
from confostain.imaging.stain_colours import NEUTRAL
from confostain.simulation.phantom import Phantom


@pytest.fixture(scope="module")
def section() -> np.ndarray:
    return Phantom(Size(700, 500), 3).histology(Size(700, 500).region)


def test_what_is_too_small_or_missing_is_named(histology: Path) -> None:
    with pytest.raises(ConfigError, match=r"he\.png: 260 x 200 px .* at least 512"):
        read_slides([str(histology)], SlideReading(0.75, 512))
    with pytest.raises(ConfigError, match="no H&E files"):
        read_slides([], SlideReading())


def test_a_slide_that_states_its_pixel_size_is_resampled(tmp_path: Path, section: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, section, resolution=(20000, 20000), resolutionunit=3)  # 0.5 um
    (image,) = read_histology([str(path)], SlideReading(1.0))
    assert image.shape == (250, 350, 3)


@pytest.mark.parametrize(("known", "microns"), [({}, 0.75), ({"tiles": 0.5}, 0.5), ({"others": 0.5}, 0.75)])
def test_a_folder_of_pictures_is_one_slide(tmp_path: Path, section: np.ndarray, known, microns: float) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    for name in ("b.png", "a.png", "c.jpg"):
        Image.fromarray(section).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (slide,) = read_slides([str(folder)], SlideReading(0.75, pixel_sizes=known))
    assert len(slide.images) == 3
    assert slide.microns_per_pixel == microns
    np.testing.assert_array_equal(slide.images[0], section)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, SlideError), match=str(tmp_path)):
        read_slides([str(tmp_path)], SlideReading())


@pytest.mark.parametrize(("microns", "side"), [(0.75, 96), (1.5, 48), (0.375, 192)])
def test_crops_cover_what_their_pixel_size_says(microns: float, side: int) -> None:
    rows = np.arange(300, dtype=np.float32)
    slope = np.repeat(np.rint(rows * 255 / 299).astype(np.uint8)[:, None, None], 300, 1).repeat(3, 2)
    crop = TrainingSlide([slope], 0.75).crop(side, microns, np.random.default_rng(0)).astype(float)
    assert crop.shape == (side, side, 3)
    assert crop[-1].mean() - crop[0].mean() == pytest.approx((side - 1) * microns / 0.75 * 255 / 299, abs=3)


def test_a_crop_larger_than_the_image_is_all_of_it(section: np.ndarray) -> None:
    assert TrainingSlide([section], 0.75).crop(600, 2.0, np.random.default_rng(0)).shape == (600, 600, 3)


def test_recoloured_slides_have_the_colours_asked_for_and_white_glass(tmp_path: Path, section: np.ndarray) -> None:
    grey = np.rint(section * 0.97).astype(np.uint8)  # glass of 236
    Image.fromarray(grey).save(tmp_path / "a.png")
    (plain,) = read_histology([str(tmp_path / "a.png")], SlideReading())
    (image,) = read_histology([str(tmp_path / "a.png")], SlideReading(colours=NEUTRAL))
    np.testing.assert_array_equal(plain, grey)
    glass = section.min(axis=-1) >= 243
    assert glass.any()
    assert image[glass].min() >= 253
    assert np.abs(image.astype(int) - grey).mean() > 3


def test_what_has_the_colours_already_is_left_as_it_is(tmp_path: Path, section: np.ndarray) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(section).save(path)
    (changed,), (left,) = (
        read_histology([str(path)], SlideReading(0.75, colours=NEUTRAL, as_they_are=names))
        for names in ((), ("a.png",))
    )
    np.testing.assert_array_equal(left, section)
    assert not np.array_equal(changed, section)
