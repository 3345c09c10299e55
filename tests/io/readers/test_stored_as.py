"""One scan, stored in every way that programs store grey channels: read as the same values, or refused in one line."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from confostain.errors import ConfostainWarning, SlideError
from confostain.io.readers.layouts import Channels, open_channels, open_grey
from confostain.io.readers.plane import Plane

SCAN = np.random.default_rng(0).integers(0, 4096, (2, 90, 120), np.uint16)  # 12 bits
BYTES = (SCAN >> 4).astype(np.uint8)


def whole(plane: Plane) -> np.ndarray:
    return plane.read(plane.size.region)


def assert_scan(channels: Channels, expected: np.ndarray = SCAN) -> None:
    np.testing.assert_array_equal([whole(channels.reflectance), whole(channels.fluorescence)], expected)


@pytest.mark.parametrize("layout", [{}, {"tile": (32, 32)}, {"compression": "zlib", "rowsperstrip": 16}])
@pytest.mark.parametrize(
    ("stored", "read"),
    [("int16", "uint16"), ("int32", "float32"), ("uint32", "float32"), ("int64", "float32"), ("float64", "float32"),
     ("float16", "float32")],
)  # fmt: skip
def test_number_types_are_read_where_their_values_fit(
    stored: str, read: str, layout: dict[str, Any], tmp_path: Path
) -> None:
    values = BYTES[0] if stored == "float16" else SCAN[0]
    tifffile.imwrite(tmp_path / "a.tif", values.astype(stored), photometric="minisblack", **layout)
    plane = open_grey(tmp_path / "a.tif")
    assert plane.dtype == np.dtype(read)
    np.testing.assert_array_equal(whole(plane), values)


@pytest.mark.parametrize("stored", ["int16", "int8"])
def test_negative_integers_do_not_fit(stored: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", (BYTES[0].astype(np.int16) - 128).astype(stored), photometric="minisblack")
    with pytest.raises(SlideError, match=r"^a\.tif: values down to -128; expected grey values of 0 or more"):
        whole(open_grey(tmp_path / "a.tif"))


@pytest.mark.parametrize("stored", ["uint32", "int32", "uint64"])
def test_integers_that_floats_cannot_hold_are_refused(stored: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SCAN[0].astype(stored) + 2**25 + 1, photometric="minisblack")
    with pytest.raises(SlideError, match="expected at most 16777216"):
        whole(open_grey(tmp_path / "a.tif"))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("pages", [1, 2])
def test_packed_bits(bits: int, pages: int, tmp_path: Path) -> None:
    values = SCAN[:pages, :, :96] & ((1 << bits) - 1)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for plane in values:
            data = imagecodecs.packints_encode(plane, bits)
            tiff.write(iter([data]), shape=plane.shape, dtype=np.uint16, bitspersample=bits, photometric="minisblack",
                       rowsperstrip=90)  # fmt: skip
    if pages == 2:
        assert_scan(open_channels(tmp_path / "a.tif"), values)
    else:
        np.testing.assert_array_equal(whole(open_grey(tmp_path / "a.tif")), values[0])


def rgb(grey: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    return np.stack([grey] * 3 + ([alpha] if alpha is not None else []), axis=-1)


OPAQUE = np.full(BYTES[0].shape, 255, np.uint8)
GREYS: dict[str, Callable[[Path], Path]] = {
    "PNG in RGB": lambda at: saved(Image.fromarray(rgb(BYTES[0])), at / "a.png"),
    "PNG in RGBA": lambda at: saved(Image.fromarray(rgb(BYTES[0], OPAQUE)), at / "a.png"),
    "PNG, grey with alpha": lambda at: saved(Image.fromarray(np.dstack([BYTES[0], OPAQUE])), at / "a.png"),
    "PNG with a palette": lambda at: saved(Image.fromarray(BYTES[0]).convert("P"), at / "a.png"),
    "TIFF in RGB": lambda at: tiff(at, rgb(BYTES[0]), photometric="rgb"),
    "TIFF in RGB, tiles": lambda at: tiff(at, rgb(BYTES[0]), photometric="rgb", tile=(32, 32), compression="zlib"),
    "TIFF in RGB, planes": lambda at: tiff(at, rgb(BYTES[0]).transpose(2, 0, 1), photometric="rgb",
                                           planarconfig="separate"),
    "TIFF in RGBA": lambda at: tiff(at, rgb(BYTES[0], OPAQUE), photometric="rgb", extrasamples=["unassalpha"]),
    "TIFF, grey with alpha": lambda at: tiff(at, np.dstack([BYTES[0], OPAQUE]), photometric="minisblack",
                                             extrasamples=["unassalpha"], planarconfig="contig"),
    "TIFF with a palette": lambda at: tiff(at, BYTES[0], photometric="palette",
                                           colormap=np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))),
    "TIFF, white is zero": lambda at: tiff(at, 255 - BYTES[0], photometric="miniswhite"),
}  # fmt: skip


def saved(picture: Image.Image, path: Path) -> Path:
    picture.save(path)
    return path


def tiff(at: Path, values: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(at / "a.tif", values, **options)
    return at / "a.tif"


@pytest.mark.parametrize("kind", GREYS)
def test_greys_that_are_stored_as_colour(kind: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(whole(open_grey(GREYS[kind](tmp_path))), BYTES[0])


def test_grey_jpeg_in_colour(tmp_path: Path) -> None:
    smooth = np.uint8(np.hypot(*np.mgrid[:90, :120]))
    Image.fromarray(rgb(smooth)).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(whole(open_grey(tmp_path / "a.jpg")).astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_transparent_pixels_were_not_scanned(suffix: str, tmp_path: Path) -> None:
    alpha = OPAQUE.copy()
    alpha[:, 100:] = 0
    picture = Image.fromarray(rgb(BYTES[0], alpha))
    plane = open_grey(saved(picture, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(whole(plane), np.where(alpha, BYTES[0], 0))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_photograph_is_no_channel(suffix: str, tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / f"a{suffix}")
    with pytest.raises(SlideError, match=r"colour"):
        open_grey(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("names", [("DAPI", "Refl", "Fluo"), ("Fluo", "Brightfield", "Refl"), ("R", "F", "overlay")])
def test_three_named_channels_with_both_wanted(names: tuple[str, ...], tmp_path: Path) -> None:
    order = {"Refl": 0, "R": 0, "Fluo": 1, "F": 1}
    planes = np.stack([SCAN[order[name]] if name in order else SCAN[0] // 2 for name in names])
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}}
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", metadata=metadata)
    channels = open_channels(tmp_path / "a.ome.tif")
    assert_scan(channels)
    assert channels.told_apart_by.startswith("names ")


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
@pytest.mark.parametrize("imagej", [True, False])
def test_two_planes_along_depth_or_time_are_taken_for_the_channels(axes: str, imagej: bool, tmp_path: Path) -> None:
    name = "a.tif" if imagej else "a.ome.tif"
    tifffile.imwrite(tmp_path / name, SCAN, imagej=imagej, metadata={"axes": axes}, photometric="minisblack")
    with pytest.warns(ConfostainWarning, match=f"2 planes along {axes[0]}; the first is taken for reflectance"):
        assert_scan(open_channels(tmp_path / name))


def test_a_stack_in_depth_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", np.repeat(SCAN[:, np.newaxis], 3, 1), metadata={"axes": "CZYX"})
    with pytest.raises(SlideError, match=r"a stack \(Z=3\)"):
        open_channels(tmp_path / "a.ome.tif")


AXES: dict[str, Any] = {
    "NGFF 0.4": [{"name": "c", "type": "channel"}, {"name": "y"}, {"name": "x"}],
    "channel": [{"name": "channel"}, {"name": "y"}, {"name": "x"}],
    "Channel, by its type": [{"name": "wavelength", "type": "channel"}, {"name": "y"}, {"name": "x"}],
    "NGFF 0.3": ["c", "y", "x"],
    "NGFF 0.1": None,
}


def ngff(path: Path, axes: Any, separator: str = ".") -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    data = SCAN[np.newaxis, :, np.newaxis] if axes is None else SCAN
    chunks = (*(1 for _ in data.shape[:-2]), 64, 64)
    key = {"name": "v2", "separator": separator}
    group.create_array("0", data=data, chunks=chunks, chunk_key_encoding=key)  # type: ignore[arg-type]
    image = {"datasets": [{"path": "0"}]} | ({"axes": axes} if axes else {"version": "0.1"})
    group.attrs["multiscales"] = [image]
    return path


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("stored", ["folder", "zip", "zip with a folder in it"])
def test_ome_zarr_of_every_version_in_folders_and_zip_files(axes: str, stored: str, tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", AXES[axes])
    if stored != "folder":
        inside = "a.zarr/" if "in it" in stored else ""
        with zipfile.ZipFile(tmp_path / "b.zarr.zip", "w") as archive:
            for file in sorted(path.rglob("*")):
                archive.write(file, f"{inside}{file.relative_to(path)}")
        path = tmp_path / "b.zarr.zip"
    assert_scan(open_channels(path))


@pytest.mark.parametrize("count", [3, 17])
def test_a_zarr_stack_is_refused(count: int, tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=np.repeat(SCAN[:1], count, 0), chunks=(1, 64, 64))
    axes = [{"name": "z" if count == 3 else "c"}, {"name": "y"}, {"name": "x"}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    with pytest.raises(SlideError, match=r"^a\.zarr: axes"):
        open_channels(tmp_path / "a.zarr")


def test_a_collection_gives_the_image_asked_for(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for number in ("0", "1"):
        ngff(tmp_path / "a.zarr" / number, AXES["NGFF 0.4"])
    array = zarr.open_array(tmp_path / "a.zarr" / "1" / "0")
    array[:] = SCAN[::-1]
    assert_scan(open_channels(tmp_path / "a.zarr"))
    assert_scan(open_channels(tmp_path / "a.zarr", series=1), SCAN[::-1])
    with pytest.raises(SlideError, match="no image 2; expected --series 0 or 1"):
        open_channels(tmp_path / "a.zarr", series=2)
