from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from confostain.errors import OptionError, SlideError
from confostain.io.readers.histology import open_histology


def painted(width: int, height: int) -> np.ndarray:
    """Every pixel tells where it stands."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "he.png"
    Image.fromarray(painted(300, 200)).save(path)
    return path


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Two levels, 0.5 um/px."""
    path = tmp_path / "he.tif"
    pixels = np.kron(np.arange(96).reshape(8, 12), np.ones((64, 64)))[..., np.newaxis].repeat(3, -1).astype(np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        for step in (1, 2):
            tiff.write(
                pixels[::step, ::step],
                tile=(256, 256),
                photometric="rgb",
                resolution=(20000 / step, 20000 / step),
                resolutionunit="CENTIMETER",
                subfiletype=int(step > 1),
            )
    return path


def test_a_region_at_the_slides_own_scale_is_what_stands_there(picture: Path) -> None:
    with open_histology(picture, 0.5) as he:
        assert (he.size, he.size_at(0.5), he.microns_per_pixel) == ((300, 200), (300, 200), 0.5)
        assert np.array_equal(he.read_region((17, 5), (40, 30), 0.5), painted(300, 200)[5:35, 17:57])
        assert np.array_equal(he.read_region((17, 5), (40, 30)), painted(300, 200)[5:35, 17:57])
        assert he.size_at(1.0).pixels == 150 * 100
        assert repr(he) == "<HistologySlide 'he.png': 300 x 200 px, 0.5 um/px>"


@pytest.mark.parametrize("microns_per_pixel", [0, -1, float("nan"), 350])
def test_a_pixel_size_that_no_microscope_has_is_refused(picture: Path, microns_per_pixel: float) -> None:
    with pytest.raises(OptionError, match=r"expected 0\.05 to 20; give um"):
        open_histology(picture, microns_per_pixel)


@pytest.mark.parametrize("microns_per_pixel", [0.75, 0.8, 1.0, 1.3])
def test_pixels_are_means_of_the_area_they_cover(slide: Path, microns_per_pixel: float) -> None:
    with open_histology(slide) as he:
        assert he.microns_per_pixel == pytest.approx(0.5, rel=1e-3)
        whole = he.read_region((0, 0), he.size_at(microns_per_pixel), microns_per_pixel)
    zoom = microns_per_pixel / 0.5
    edges = np.arange(whole.shape[1] + 1) * zoom
    along = np.interp(edges, np.arange(769), np.concatenate([[0], np.cumsum(np.repeat(np.arange(12), 64))]))
    assert np.abs(whole[10, :, 0] - np.diff(along) / zoom).max() <= 1


def test_regions_fit_together(slide: Path) -> None:
    with open_histology(slide) as he:
        whole = he.read_region((0, 0), (400, 300), 0.75)
        part = he.read_region((123, 77), (100, 90), 0.75)
    assert np.abs(whole[77:167, 123:223].astype(int) - part).max() <= 1


def test_where_whole_pixels_make_up_one_it_is_their_mean(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with open_histology(tmp_path / "noise.png", 0.5) as he:
        got = he.read_region((3, 5), (40, 30), 2.0)
    mean = noise[20:140, 12:172].reshape(30, 4, 40, 4, 3).mean(axis=(1, 3))
    assert np.abs(got - mean).max() <= 1


@pytest.mark.parametrize("microns_per_pixel", [0.3, 0.5, 0.75, 2.1])
def test_regions_of_fine_detail_fit_together(tmp_path: Path, microns_per_pixel: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with open_histology(tmp_path / "noise.png", 0.5) as he:
        whole = he.read_region((0, 0), he.size_at(microns_per_pixel), microns_per_pixel)
        part = he.read_region((13, 17), (40, 30), microns_per_pixel)
    assert np.abs(whole[17:47, 13:53].astype(int) - part).max() <= 1


def test_what_cannot_be_read_is_refused(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="pixel size"):
        open_histology(picture)
    with pytest.raises(SlideError, match="no such file"):
        open_histology(tmp_path / "nothing.svs")
    (tmp_path / "text.svs").write_text("not a slide")
    with pytest.raises(SlideError, match="OpenSlide"):
        open_histology(tmp_path / "text.svs")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(SlideError, match="not an image that can be read"):
        open_histology(tmp_path / "text.png", 1.0)
    with open_histology(picture, 1.0) as he, pytest.raises(SlideError, match="inside"):
        he.read_region((290, 0), (20, 20), 1.0)


def test_details_stay_where_they_are_at_any_pixel_size(tmp_path: Path) -> None:
    ramp = np.broadcast_to((np.arange(24) * 10).astype(np.uint8)[None, :, None], (24, 24, 3))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    for microns_per_pixel in (0.6, 0.75, 0.85):
        zoom = microns_per_pixel / 0.5
        with open_histology(tmp_path / "ramp.png", 0.5) as he:
            size = he.size_at(microns_per_pixel)
            got = he.read_region((0, 0), size, microns_per_pixel)[4, 2:-2, 0]
        assert np.abs(got - 10 * ((np.arange(size[0])[2:-2] + 0.5) * zoom - 0.5)).max() < 1.3


@pytest.mark.parametrize("name", ["strips.tif", "picture.png"])
def test_a_picture_may_say_its_pixel_size(name: str, tmp_path: Path) -> None:
    picture = Image.fromarray(painted(300, 200))
    picture.save(tmp_path / name, dpi=(25_400 / 0.75, 25_400 / 0.75))
    with open_histology(tmp_path / name, 0.75) as he:
        assert he.microns_per_pixel == pytest.approx(0.75, rel=1e-4)
        assert he.size_at(0.75) == (300, 200)
        assert np.array_equal(he.read_region((0, 0), (300, 200), 0.75), painted(300, 200))
    with pytest.raises(OptionError, match=r"1 um given, but .* states 0\.75"):
        open_histology(tmp_path / name, 1.0)
    picture.save(tmp_path / name, dpi=(300, 300))  # a printer's
    with open_histology(tmp_path / name, 1.0) as he:
        assert he.microns_per_pixel == 1.0


def test_a_pixel_size_that_was_rounded_costs_no_row(tmp_path: Path) -> None:
    Image.fromarray(painted(1024, 200)).save(tmp_path / "he.png")
    with open_histology(tmp_path / "he.png", 0.749995) as he:
        assert he.size_at(0.75) == (1024, 200)
