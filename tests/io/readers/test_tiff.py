"""Which image of a TIFF is read, with the metadata of that same image."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from confostain.errors import ConfostainWarning, SlideError
from confostain.io.readers.layouts import Channels, open_channels, open_grey
from confostain.io.readers.tiff import open_tiff

CASES = Path(__file__).parents[4] / "shared" / "cases"
RNG = np.random.default_rng(0)
SCAN = RNG.integers(0, 60_000, (2, 90, 120), dtype=np.uint16)
SMALL = RNG.integers(0, 60_000, (2, 30, 40), dtype=np.uint16)
COLOUR = RNG.integers(0, 255, (50, 50, 3), dtype=np.uint8)


def described(um: float, *names: str, **more: Any) -> dict[str, Any]:
    named = {"Channel": {"Name": list(names)}} if names else {}
    return {"axes": "CYX", "PhysicalSizeX": um, "PhysicalSizeY": um, **named, **more}


def assert_is_scan(channels: Channels, um: float = 0.5) -> None:
    for plane, expected in zip((channels.reflectance, channels.fluorescence), SCAN, strict=True):
        np.testing.assert_array_equal(plane.read(plane.size.region), expected)
    assert channels.microns_per_pixel == um


@pytest.mark.parametrize("first", ["grey", "colour", "same names"])
def test_a_thumbnail_in_front_is_passed_over(first: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        if first == "colour":
            tiff.write(COLOUR, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 9.0, "PhysicalSizeY": 9.0})
        else:
            names = ("Reflectance", "Fluorescence") if first == "same names" else ("Fluorescence", "Reflectance")
            tiff.write(SMALL, photometric="minisblack", metadata=described(4.0, *names))
        tiff.write(SCAN, photometric="minisblack", metadata=described(0.5, "Reflectance", "Fluorescence"))
    channels = open_channels(path)
    assert_is_scan(channels)
    assert "image 1 of 120 x 90 px (2 in the file)" in channels.layout


def test_pages_without_metadata_are_told_by_their_size(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "R.tif") as tiff:
        tiff.write(SMALL[0], photometric="minisblack")
        tiff.write(SCAN[0], photometric="minisblack")
    plane = open_grey(tmp_path / "R.tif")
    np.testing.assert_array_equal(plane.read(plane.size.region), SCAN[0])


def test_a_larger_picture_in_colour_and_another_scan_are_spoken_of(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(np.kron(COLOUR, np.ones((4, 4, 1), np.uint8)), photometric="rgb", metadata={"axes": "YXS"})
        tiff.write(SCAN, photometric="minisblack", metadata=described(0.5))
        tiff.write(SCAN[::-1], photometric="minisblack", metadata=described(0.25))
    with pytest.warns(ConfostainWarning) as told:
        open_channels(path)
    assert {str(one.message).partition(": ")[2].partition(";")[0] for one in told} == {
        "image 1 of 120 x 90 px is taken"
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = open_tiff(path, series=2)
    np.testing.assert_array_equal(found.planes[0].read(found.planes[0].size.region), SCAN[1])
    assert found.planes[0].microns_per_pixel == 0.25
    with pytest.raises(SlideError, match="3 values per pixel"):
        open_tiff(path, series=0)
    with pytest.raises(SlideError, match="no image 3; expected --series 0 to 2"):
        open_tiff(path, series=3)


@pytest.mark.parametrize("labels", [("Reflectance", "Fluorescence"), ("Fluorescence", "Reflectance")])
def test_imagej_labels_name_the_channels(labels: tuple[str, str], tmp_path: Path) -> None:
    pair = SCAN if labels[0] == "Reflectance" else SCAN[::-1]
    tifffile.imwrite(tmp_path / "a.tif", pair, imagej=True, metadata={"axes": "CYX", "Labels": list(labels)})
    channels = open_channels(tmp_path / "a.tif")
    np.testing.assert_array_equal(channels.reflectance.read(channels.reflectance.size.region), SCAN[0])


def test_page_names_name_the_channels(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for name, plane in (("Fluo", SCAN[1]), ("Refl 488", SCAN[0])):
            tiff.write(plane, photometric="minisblack", extratags=[(285, 2, 0, name, True)])
    channels = open_channels(tmp_path / "a.tif")
    np.testing.assert_array_equal(channels.reflectance.read(channels.reflectance.size.region), SCAN[0])


def test_a_flood_of_channels_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", SCAN, metadata={"axes": "CYX"})
    text = tifffile.tiffcomment(tmp_path / "a.ome.tif").replace('SizeC="2"', 'SizeC="2147483647"')
    tifffile.tiffcomment(tmp_path / "a.ome.tif", text.encode())
    with pytest.raises(SlideError, match=r"a\.ome\.tif: OME-XML announces"):
        open_channels(tmp_path / "a.ome.tif")


def case(*names: str) -> Channels:
    paths = [CASES / name for name in names]
    if not CASES.is_dir():
        pytest.skip("the inputs in ../shared/cases are not at hand")
    return open_channels(paths[0]) if len(paths) == 1 else open_channels(reflectance=paths[0], fluorescence=paths[1])


@pytest.mark.parametrize(
    "names",
    [
        ("greythumb.ome.tif",),
        ("thumbfirst.ome.tif",),
        ("th_R.tif", "th_F.tif"),
        ("or3_R.tif", "or3_F.tif"),
        ("or3_R.tif", "plain/F.tif"),
        ("multi/scan_C0.ome.tif",),
        ("multi/scan_C1.ome.tif",),
        ("multi/scan_C0.ome.tif", "multi/scan_C1.ome.tif"),
        ("comp/scan_C0.ome.tif",),
        ("comp/scan_C1.ome.tif",),
        ("comp/scan.companion.ome",),
        ("ij_trunc_be.tif",),
        ("ij_lab.tif",),
        ("ph_R.png", "ph_F.png"),
    ],
    ids=str,
)
def test_inputs_that_once_went_wrong(names: tuple[str, ...]) -> None:
    truth, found = case("plain/R.tif", "plain/F.tif"), case(*names)
    for channel in ("reflectance", "fluorescence"):
        expected, plane = getattr(truth, channel), getattr(found, channel)
        np.testing.assert_array_equal(plane.read(plane.size.region), expected.read(expected.size.region))
    stated = 0.5 if names[0].startswith(("greythumb", "multi", "comp", "thumbfirst", "ij_trunc", "ij_lab")) else None
    assert found.microns_per_pixel in (stated, None)
