import numpy as np
import pytest
import tifffile

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.readers.layouts import open_channels
from confostain.io.writers.vivascope import write_mosaic

SIZE = Size(70, 53)


@pytest.fixture
def planes():
    return np.random.default_rng(1).integers(0, 65536, (2, SIZE.height, SIZE.width)).astype(np.uint16)


def _bands(planes, rows=16):
    return (planes[:, y : y + rows] for y in range(0, planes.shape[1], rows))


def test_what_was_written_is_read(tmp_path, planes):
    write_mosaic(tmp_path / "scan", SIZE, _bands(planes), 0.75)
    for detector, plane in zip(("DET#1", "DET#2"), planes, strict=True):
        with tifffile.TiffFile(tmp_path / "scan" / "mosaic" / detector / "highres_raw.tif") as file:
            page = file.pages[0]
            np.testing.assert_array_equal(page.asarray(), plane)
            assert page.compression == tifffile.COMPRESSION.NONE
            numerator, denominator = page.tags["XResolution"].value
            assert numerator / denominator == pytest.approx(1e4 / 0.75, rel=1e-6)


def test_the_loading_dock_knows_the_layout(tmp_path, planes):
    write_mosaic(tmp_path, SIZE, _bands(planes), 0.54)
    channels = open_channels(tmp_path)
    assert channels.reflectance.size == SIZE
    assert channels.microns_per_pixel == pytest.approx(0.54, rel=1e-4)
    assert channels.layout == "VivaScope mosaic"
    channels.close()


@pytest.mark.parametrize("rows", [52, 54])
def test_missing_or_surplus_rows_are_refused_and_leave_nothing(tmp_path, planes, rows):
    with pytest.raises(OutputError, match=f"{rows} rows"):
        write_mosaic(tmp_path, SIZE, _bands(np.resize(planes, (2, rows, SIZE.width))), 0.75)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_band_of_another_width_or_type_is_refused(tmp_path, planes):
    for wrong in (planes[:, :, :-1], planes.astype(np.float32)):
        with pytest.raises(OutputError, match="expected uint16"):
            write_mosaic(tmp_path, SIZE, _bands(wrong), 0.75)


def test_an_existing_scan_is_kept_unless_told(tmp_path, planes):
    write_mosaic(tmp_path, SIZE, _bands(planes), 0.75)
    with pytest.raises(OutputError, match="exists"):
        write_mosaic(tmp_path, SIZE, _bands(planes), 0.75)
    write_mosaic(tmp_path, SIZE, _bands(planes[::-1]), 0.75, overwrite=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mosaic" / "DET#1" / "highres_raw.tif"), planes[1])
