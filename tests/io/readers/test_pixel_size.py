"""Pixel sizes: lengths in any unit, and what of them is believed, in every format alike."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import confostain
from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.io.readers.pixel_size import believed, microns, number, plausible_microns

SCAN = np.random.default_rng(0).integers(0, 4000, (2, 60, 80), np.uint16)
HE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        *[(0.5, unit, 0.5) for unit in ("um", "µm", "\u03bcm", "\\u00B5m", "micron", "microns")],
        *[(0.5, unit, 0.5) for unit in ("Micrometre", "micrometer", "micrometers")],
        *[(500, unit, 0.5) for unit in ("nm", "nanometer", "nanometre", "Nanometers")],
        *[(5e-4, unit, 0.5) for unit in ("mm", "millimetre", "millimeter", "MM", " mm ")],
        *[(5e-5, unit, 0.5) for unit in ("cm", "centimetre", "centimeters")],
        *[(5e-7, unit, 0.5) for unit in ("m", "metre", "meter")],
        *[(5000, unit, 0.5) for unit in ("angstrom", "Å", "\u212b", "Ångström")],
        (1, "thou", 25.4), (2, "mil", 50.8), (1, "inch", 25_400), (1, "in", 25_400), (1, "pt", 25_400 / 72),
        *[(1, unit, None) for unit in ("", None, "pixel", "reference frame", "second", "px", "umm")],
        (None, "um", None),
    ],
)  # fmt: skip
def test_lengths_in_the_units_of_ome_udunits_and_imagej(value: float, unit: str, expected: float | None) -> None:
    assert microns(value, unit) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", 0.5),
        ("0,5", 0.5),
        (" 5e-1 ", 0.5),
        (0.5, 0.5),
        ("", None),
        ("none", None),
        (None, None),
        ("1.2.3", None),
    ],
)
def test_numbers_with_a_point_or_a_comma(text: object, expected: float | None) -> None:
    assert number(text) == expected


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_only_what_a_microscope_can_have_is_believed(value: float) -> None:
    found = plausible_microns(value)
    assert (found is not None) == (0.05 <= value <= 20)
    assert believed("a", value, value, "x") is None or found is not None


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1200])
def test_print_resolutions_are_none(dpi: int) -> None:
    assert believed("a", 25_400 / dpi, 25_400 / dpi, "resolution") is None


def ome_scan(path: Path, x: str, y: str | None = None, unit: str = "µm") -> Path:
    path = path.with_suffix(".ome.tif")
    tifffile.imwrite(path, SCAN, photometric="minisblack", metadata={"axes": "CYX", "PhysicalSizeX": 7.0})
    said = f'PhysicalSizeX="{x}" PhysicalSizeXUnit="{unit}"'
    said += f' PhysicalSizeY="{y}" PhysicalSizeYUnit="{unit}"' if y is not None else ""
    xml = tifffile.tiffcomment(path).replace('PhysicalSizeX="7.0"', said)
    tifffile.tiffcomment(path, xml.encode())
    return path


def zarr_scan(path: Path, x: str, y: str | None = None, unit: str = "micrometer") -> Path:
    group = zarr.open_group(str(path.with_suffix(".zarr")), mode="w", zarr_format=2)
    group.create_array("0", data=SCAN, chunks=(1, 60, 80))
    steps: list[Any] = [1, y if y is not None else x, x]
    axes = [{"name": "c"}, {"name": "y", "unit": unit}, {"name": "x", "unit": unit}]
    transforms = [{"type": "scale", "scale": steps}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}]
    return path.with_suffix(".zarr")


WRITERS: dict[str, Callable[..., Path]] = {"OME-TIFF": ome_scan, "OME-Zarr": zarr_scan}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("x", "unit", "expected"),
    [("0.5", None, 0.5), ("0,5", None, 0.5), ("500", "nanometer", 0.5), ("0.0005", "millimetre", 0.5), ("", None, None),
     ("352.8", None, None), ("-0.5", None, None), ("0", None, None), ("nan", None, None), ("750", None, None)],
)  # fmt: skip
def test_a_scan_says_its_pixel_size_or_is_given_it(
    kind: str, x: str, unit: str | None, expected: float | None, tmp_path: Path
) -> None:
    path = WRITERS[kind](tmp_path / "a", x, **({"unit": unit} if unit else {}))
    with confostain.open_slide(path) as slide:
        assert slide.microns_per_pixel == expected
    with confostain.open_slide(path, microns_per_pixel=0.5) as slide:
        assert slide.microns_per_pixel == 0.5
    if expected:
        with pytest.raises(OptionError, match=r"0\.75 um given, but .* states 0\.5"):
            confostain.open_slide(path, microns_per_pixel=0.75)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("y", ["0.75", "0.52", "5"])
def test_pixels_that_are_not_square_are_told_and_not_believed(kind: str, y: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "a", "0.5", y)
    with pytest.warns(ConfostainWarning, match="pixels are 0.5 x .* um"), confostain.open_slide(path) as slide:
        assert slide.microns_per_pixel is None


def he_dpi(path: Path, microns_per_pixel: float) -> Path:
    dots = 25_400 / microns_per_pixel
    Image.fromarray(HE).save(path.with_suffix(".png"), dpi=(dots, dots))
    return path.with_suffix(".png")


def he_tiff(path: Path, microns_per_pixel: float) -> Path:
    per_cm = 1e4 / microns_per_pixel
    tifffile.imwrite(path.with_suffix(".tif"), HE, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
    return path.with_suffix(".tif")


def he_tiles(path: Path, microns_per_pixel: float) -> Path:
    per_cm, path = 1e4 / microns_per_pixel, path.with_suffix(".tif")
    tifffile.imwrite(path, HE, tile=(32, 32), resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
    return path


def he_ome(path: Path, microns_per_pixel: float) -> Path:
    metadata = {"axes": "YXS", "PhysicalSizeX": microns_per_pixel, "PhysicalSizeY": microns_per_pixel}
    tifffile.imwrite(path.with_suffix(".ome.tif"), HE, tile=(32, 32), metadata=metadata)
    return path.with_suffix(".ome.tif")


@pytest.mark.parametrize("write", [he_dpi, he_tiff, he_tiles, he_ome])
def test_h_and_e_says_its_pixel_size_or_is_given_it(write: Callable[[Path, float], Path], tmp_path: Path) -> None:
    path = write(tmp_path / "a", 0.5)
    with confostain.open_histology(path) as slide:
        assert slide.microns_per_pixel == pytest.approx(0.5, rel=1e-3)
    with pytest.raises(OptionError, match="expected the same"):
        confostain.open_histology(path, 0.25)
    for wrong in (352.8, 750.0, 0.00075):
        path = write(tmp_path / f"b{wrong}", wrong)
        with pytest.raises(SlideError, match="does not say its pixel size"):
            confostain.open_histology(path)
        with confostain.open_histology(path, 0.5) as slide:
            assert slide.microns_per_pixel == 0.5


def test_h_and_e_pixels_that_are_not_square_are_told(tmp_path: Path) -> None:
    Image.fromarray(HE).save(tmp_path / "a.png", dpi=(25_400 / 0.5, 25_400 / 0.25))
    with pytest.warns(ConfostainWarning, match="expected square ones"), pytest.raises(SlideError, match="pixel size"):
        confostain.open_histology(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfostainWarning)
        confostain.open_histology(tmp_path / "a.png", 0.5).close()
