"""Where a region of a slide lies, as programs that others wrote read it from the results."""

import warnings
from pathlib import Path

import openslide
import pydicom
import pytest
import zarr
from ome_types import from_tiff
from wsidicom import WsiDicom

import confostain

REGION = (120, 40, 500, 400)  # level-0 pixels
MICRONS = 0.75


def stained(scan: Path, out: Path, **options: str) -> Path:
    with confostain.open_slide(scan) as slide:
        confostain.stain_slide(slide, out, model="gareau", region=REGION, **options)  # type: ignore[arg-type]
    return out


def test_ome_tiff_has_its_stage_position(phantom_scan: Path, tmp_path: Path) -> None:
    (plane,) = from_tiff(stained(phantom_scan, tmp_path / "a.ome.tif")).images[0].pixels.planes
    assert (plane.position_x, plane.position_y) == (120 * MICRONS, 40 * MICRONS)
    assert plane.position_x_unit.value == plane.position_y_unit.value == "µm"


def test_a_grey_plane_without_a_pixel_size_has_it_in_pixels(phantom_scan: Path, tmp_path: Path) -> None:
    import numpy as np
    import tifffile

    tifffile.imwrite(tmp_path / "grey.tif", np.random.default_rng(0).integers(0, 999, (300, 300), np.uint16))
    confostain.despeckle_slide(tmp_path / "grey.tif", tmp_path / "a.ome.tif", region=(7, 9, 200, 200))
    (plane,) = from_tiff(tmp_path / "a.ome.tif").images[0].pixels.planes
    assert (plane.position_x, plane.position_y, plane.position_x_unit.value) == (7, 9, "pixel")


def test_dicom_lies_at_its_place_in_the_frame_of_reference(phantom_scan: Path, tmp_path: Path) -> None:
    path = stained(phantom_scan, tmp_path / "a.dcm")
    with WsiDicom.open(path) as slide:
        for level in slide.levels:
            # ImageOrientationSlide 0,1,0,1,0,0: columns run along Y of the slide, rows along X
            system = level.default_instance.image_coordinate_system
            assert (system.origin.x, system.origin.y) == pytest.approx((40 * MICRONS / 1000, 120 * MICRONS / 1000))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_translated_by_the_centres_of_its_pixels(version: str, phantom_scan: Path, tmp_path: Path) -> None:
    group = zarr.open_group(stained(phantom_scan, tmp_path / "a.ome.zarr", ome_zarr=version), mode="r")
    attributes = dict(group.attrs)
    (image,) = attributes.get("ome", attributes)["multiscales"]  # type: ignore[union-attr, index]
    for level, dataset in enumerate(image["datasets"]):
        scale, translation = (step[step["type"]] for step in dataset["coordinateTransformations"])
        assert scale == [1, MICRONS * 2**level, MICRONS * 2**level]
        centre = (2**level - 1) / 2
        assert translation == [0, (40 + centre) * MICRONS, (120 + centre) * MICRONS]


def test_a_whole_slide_begins_at_zero(phantom_scan: Path, tmp_path: Path) -> None:
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, tmp_path / "a.dcm", model="gareau")
    instance = pydicom.dcmread(tmp_path / "a.dcm" / "level-0.dcm", stop_before_pixels=True)
    (origin,) = instance.TotalPixelMatrixOriginSequence
    assert origin.XOffsetInSlideCoordinateSystem == origin.YOffsetInSlideCoordinateSystem == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        openslide.OpenSlide(tmp_path / "a.dcm" / "level-0.dcm").close()
