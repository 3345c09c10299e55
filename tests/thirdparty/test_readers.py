"""Colours, sizes, levels and pixel sizes of results in readers that others wrote."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pytest
import tifffile
import zarr
from ome_zarr_models import v04, v05
from PIL import Image
from tests.thirdparty.conftest import Result, close, program

Rgb = npt.NDArray[np.uint8]


def as_picture(path: Path) -> Rgb:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_bioformats_reads_every_level_of_a_tiff(
    bioformats: Callable[..., str], ome_tiff: Result, level: int, tmp_path: Path
) -> None:
    out = tmp_path / "out.tif"
    told = bioformats("ImageConverter", "-series", level, "-compression", "Uncompressed", ome_tiff.path, out)
    assert out.exists(), told
    pixels = tifffile.imread(out)
    assert close(np.moveaxis(pixels, 0, 2) if pixels.shape[0] == 3 else pixels, ome_tiff.levels[level])


def test_bioformats_finds_one_image_with_its_levels_and_pixel_size(
    bioformats: Callable[..., str], ome_tiff: Result
) -> None:
    told = bioformats("ImageInfo", "-nopix", "-noflat", "-omexml", ome_tiff.path)
    assert "Series count = 1" in told
    assert f"Resolutions = {len(ome_tiff.levels)}" in told
    assert 'PhysicalSizeX="0.75"' in told
    assert "PhysicalSizeXUnit" not in told or "µm" in told


def test_bioformats_reads_dicom(bioformats: Callable[..., str], dicom: Result, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    told = bioformats("ImageConverter", "-series", 0, "-compression", "Uncompressed", dicom.path / "level-0.dcm", out)
    assert out.exists(), told
    pixels = tifffile.imread(out)
    pixels = np.moveaxis(pixels, 0, 2) if pixels.shape[0] == 3 else pixels
    assert any(close(pixels, level) for level in dicom.levels)


def test_openslide_reads_every_level(ome_tiff: Result, dicom: Result) -> None:
    for path, levels in ((ome_tiff.path, ome_tiff.levels), (dicom.path / "level-0.dcm", dicom.levels)):
        with openslide.OpenSlide(path) as slide:
            assert slide.level_dimensions == tuple((level.shape[1], level.shape[0]) for level in levels)
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.75, rel=1e-3)
            for number, level in enumerate(levels):
                pixels = np.asarray(slide.read_region((0, 0), number, slide.level_dimensions[number]).convert("RGB"))
                assert close(pixels, level)


def test_pillow_and_tifffile_read_a_tiff(ome_tiff: Result) -> None:
    assert close(as_picture(ome_tiff.path), ome_tiff.levels[0])
    with tifffile.TiffFile(ome_tiff.path) as tiff:
        for level, expected in zip(tiff.series[0].levels, ome_tiff.levels, strict=True):
            assert close(level.asarray(), expected)


def test_libvips_reads_every_level(ome_tiff: Result, tmp_path: Path) -> None:
    for number, level in enumerate(ome_tiff.levels):
        source = f"{ome_tiff.path}[subifd={number - 1}]" if number else str(ome_tiff.path)
        program("vips", "copy", source, tmp_path / f"{number}.png")
        assert close(as_picture(tmp_path / f"{number}.png"), level)


def test_gdal_reads_the_full_resolution_and_an_overview(ome_tiff: Result, tmp_path: Path) -> None:
    told = program("gdalinfo", ome_tiff.path)
    height, width = ome_tiff.levels[0].shape[:2]
    assert f"Size is {width}, {height}" in told
    assert f"Overviews: {ome_tiff.levels[1].shape[1]}x{ome_tiff.levels[1].shape[0]}" in told
    program("gdal_translate", "-q", "-of", "PNG", ome_tiff.path, tmp_path / "full.png")
    assert close(as_picture(tmp_path / "full.png"), ome_tiff.levels[0])


def test_zarr_reads_every_level(ome_zarr: Result) -> None:
    group = zarr.open_group(ome_zarr.path, mode="r")
    for number, level in enumerate(ome_zarr.levels):
        np.testing.assert_array_equal(np.moveaxis(np.asarray(group[str(number)]), 0, 2), level)


def test_ome_zarr_is_valid(ome_zarr: Result) -> None:
    group = zarr.open_group(ome_zarr.path, mode="r")
    image = (v04.Image if "multiscales" in group.attrs else v05.Image).from_zarr(group)
    assert len(image.attributes.multiscales if "multiscales" in group.attrs else image.attributes.ome.multiscales) == 1


def test_dicom_is_valid(dicom: Result) -> None:
    for path in sorted(dicom.path.iterdir()):
        assert "Error" not in program("dciodvfy", path), path.name
    assert "Error" not in program("dcentvfy", *sorted(dicom.path.iterdir()))


def test_dicom_warnings_are_known(dicom: Result) -> None:
    """What dciodvfy warns of, explained in docs; anything new is to be looked at."""
    told = program("dciodvfy", dicom.path / "level-0.dcm")
    warnings = {re.sub(r"<[^>]*>|\d+", "", line) for line in told.splitlines() if line.startswith("Warning")}
    assert len(warnings) <= 8, warnings
