from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from confostain.errors import SlideError
from confostain.geometry import Region
from confostain.io.readers.layouts import open_grey

STORED = np.arange(23 * 31, dtype=np.uint16).reshape(23, 31) * 7


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """By Pillow, which nobody here wrote."""
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.fixture(scope="module", params=range(1, 9))
def turned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("turned") / "a.tif"
    tifffile.imwrite(path, STORED, extratags=[(274, 3, 1, request.param, True)])
    return path, upright(STORED, request.param)


@given(st.data())
def test_regions_and_rows_are_upright(turned: tuple[Path, np.ndarray], data: st.DataObject) -> None:
    path, expected = turned
    plane = open_grey(path)
    height, width = expected.shape
    assert (plane.size.width, plane.size.height) == (width, height)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    np.testing.assert_array_equal(plane.read(Region(x, y, w, h)), expected[y : y + h, x : x + w])
    step = data.draw(st.integers(1, 9))
    first = y + min(step // 2, (h - 1) % step)
    np.testing.assert_array_equal(plane.read_rows(Region(x, y, w, h), step), expected[first : y + h : step, x : x + w])
    plane.close()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_is_obeyed(orientation: int, suffix: str, tmp_path: Path) -> None:
    stored = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.ones((16, 16), np.uint8))
    image, path = Image.fromarray(stored), tmp_path / f"a{suffix}"
    exif = image.getexif()
    exif[274] = orientation
    image.save(path, exif=exif, **({"quality": 100} if suffix == ".jpg" else {}))
    expected = upright(stored, orientation)
    plane = open_grey(path)
    found = plane.read(plane.size.region)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_an_unknown_orientation_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STORED, extratags=[(274, 3, 1, 9, True)])
    with pytest.raises(SlideError, match=r"a\.tif: orientation 9; expected 1 to 8"):
        open_grey(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_as_zero_is_inverted(dtype: type, tmp_path: Path) -> None:
    stored = STORED.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    plane = open_grey(tmp_path / "a.tif")
    np.testing.assert_array_equal(plane.read(plane.size.region), np.iinfo(dtype).max - stored)
