"""Which file is which channel, in every layout that is known, and what is said where none is found."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from confostain.errors import ConfostainWarning, SlideError
from confostain.geometry import Region, Size
from confostain.io.readers import sources
from confostain.io.readers.layouts import Channels, open_channels

SHARED = Path(__file__).parents[4] / "shared" / "data"

R, F = np.random.default_rng(0).integers(0, 65536, (2, 61, 83), dtype=np.uint16)
PAIR = np.stack([R, F])


def assert_channels(channels: Channels, reflectance: np.ndarray = R, fluorescence: np.ndarray = F) -> None:
    for plane, image in ((channels.reflectance, reflectance), (channels.fluorescence, fluorescence)):
        assert plane.size == Size(image.shape[1], image.shape[0])
        np.testing.assert_array_equal(plane.read(plane.size.region), image)
        np.testing.assert_array_equal(plane.read(Region(70, -10, 40, 30))[10:, :13], image[:20, 70:])
    channels.close()


def write_mosaic(folder: Path, **options: Any) -> Path:
    for detector, image in (("DET#1", R), ("DET#2", F)):
        (folder / detector).mkdir(parents=True)
        tifffile.imwrite(folder / detector / "highres_raw.tif", image, **options)
    return folder


def test_a_vivascope_mosaic_and_its_scan(tmp_path: Path) -> None:
    mosaic = write_mosaic(tmp_path / "scan" / "mosaic1", resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    for given in (mosaic, tmp_path / "scan", str(mosaic)):
        channels = open_channels(given)
        assert channels.layout == "VivaScope mosaic"
        assert channels.reflectance.name == "scan/mosaic1/DET#1/highres_raw.tif"
        assert channels.fluorescence.name == "scan/mosaic1/DET#2/highres_raw.tif"
        assert channels.microns_per_pixel == pytest.approx(0.5)
        assert_channels(channels)


def test_a_scan_of_several_mosaics_lists_them(tmp_path: Path) -> None:
    write_mosaic(tmp_path / "mosaic1")
    write_mosaic(tmp_path / "mosaic2")
    with pytest.raises(SlideError, match=r"2 mosaics \(mosaic1, mosaic2\)"):
        open_channels(tmp_path)


def test_a_mosaic_without_one_detector_names_the_missing_file(tmp_path: Path) -> None:
    write_mosaic(tmp_path / "mosaic")
    shutil.rmtree(tmp_path / "mosaic" / "DET#2")
    with pytest.raises(SlideError, match=r"no DET#2/highres_raw\.tif"):
        open_channels(tmp_path)


def test_one_file_cannot_be_both_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", R)
    (tmp_path / "b.tif").symlink_to("a.tif")
    for other in ("a.tif", "b.tif"):
        with pytest.raises(SlideError, match=r"^a\.tif: given for reflectance and for fluorescence"):
            open_channels(reflectance=tmp_path / "a.tif", fluorescence=tmp_path / other)


def test_a_path_that_no_file_can_have_is_refused_in_one_short_line(tmp_path: Path) -> None:
    for length in (300, 5000):
        with pytest.raises(SlideError, match=r"^a+: cannot be opened \(.*check its path") as found:
            open_channels(tmp_path / ("a" * length))
        assert len(str(found.value)) < 250


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused(tmp_path: Path) -> None:
    mosaic = write_mosaic(tmp_path / "mosaic1")
    for locked in (mosaic, mosaic / "DET#2", mosaic / "DET#2" / "highres_raw.tif"):
        mode = locked.stat().st_mode
        locked.chmod(0)
        with pytest.raises(SlideError, match=r"cannot be opened \(Permission denied\)"):
            open_channels(mosaic)
        locked.chmod(mode)


def test_errors_of_a_mosaic_name_the_detector(tmp_path: Path) -> None:
    file = write_mosaic(tmp_path / "scan") / "DET#2" / "highres_raw.tif"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(SlideError, match=r"^scan/DET#2/highres_raw\.tif: truncated"):
        open_channels(tmp_path / "scan")


def test_one_png_per_laser_line(tmp_path: Path) -> None:
    (tmp_path / "785.png").write_bytes(imagecodecs.png_encode(R))
    (tmp_path / "488.png").write_bytes(imagecodecs.png_encode(F))
    assert_channels(open_channels(tmp_path))
    tifffile.imwrite(tmp_path / "488.tif", F)
    with pytest.raises(SlideError, match=r"488\.png, 488\.tif"):
        open_channels(tmp_path)


def test_one_file_per_channel(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(R))
    tifffile.imwrite(tmp_path / "b.tif", F, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    channels = open_channels(reflectance=tmp_path / "a.png", fluorescence=tmp_path / "b.tif")
    assert channels.layout == "file pair"
    assert channels.microns_per_pixel == pytest.approx(0.5)
    assert_channels(channels)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "no slide given"),
        ({"reflectance": "a.tif"}, "give the fluorescence file too"),
        ({"fluorescence": "a.tif"}, "give the reflectance file too"),
        ({"path": "a.tif", "reflectance": "a.tif"}, "leave one out"),
        ({"path": "missing.tif"}, "no such file or folder"),
        ({"path": "a.tif"}, "one grey channel; expected two"),
        ({"path": "a.png"}, "one grey channel; expected two"),
        ({"path": "empty.tif"}, "an empty file"),
        ({"path": "text.txt"}, "cannot be read"),
        ({"path": "folder"}, "no known slide in this folder"),
        ({"reflectance": "folder", "fluorescence": "a.tif"}, "a folder; expected one grey image"),
        ({"reflectance": "a.tif", "fluorescence": "small.tif"}, r"83 x 61 px, small.tif 40 x 30 px"),
        ({"reflectance": "a.tif", "fluorescence": "fine.tif"}, r"0\.5 um/px, fine.tif has 0\.25 um/px"),
    ],
)
def test_what_cannot_be_a_slide_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.tif").touch()
    Path("text.txt").write_text("a note")
    Path("a.png").write_bytes(imagecodecs.png_encode(R))
    tifffile.imwrite("a.tif", R, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    tifffile.imwrite("fine.tif", F, resolution=(4e4, 4e4), resolutionunit="CENTIMETER")
    tifffile.imwrite("small.tif", F[:30, :40])
    with pytest.raises(SlideError, match=reason) as raised:
        open_channels(**arguments)
    assert "\n" not in str(raised.value)


def ome(path: Path, names: list[str] | None, **options: Any) -> Path:
    metadata = {"axes": "CYX", "PhysicalSizeX": 750, "PhysicalSizeXUnit": "nm"}
    if names:
        metadata["Channel"] = {"Name": names}
    tifffile.imwrite(path, PAIR, ome=True, photometric="minisblack", metadata=metadata, **options)
    return path


@pytest.mark.parametrize(
    ("names", "swapped"),
    [
        (None, False),
        (["DAPI", "GFP"], False),
        (["reflectance", "fluorescence"], False),
        (["Fluorescence", "Reflectance"], True),
        (["FCM", "RCM"], True),
        (["488 nm", "785 nm"], True),
        (["F", "R"], True),
        (["acridine orange", "other"], True),
        (["other", "785"], True),
        (["other", "488"], False),
        (["RCM and FCM", "F"], False),
    ],
)
@pytest.mark.parametrize("options", [{}, {"tile": (32, 32), "compression": "zlib"}])
def test_ome_tiff_goes_by_the_channel_names(
    tmp_path: Path, names: list[str] | None, swapped: bool, options: dict[str, Any]
) -> None:
    channels = open_channels(ome(tmp_path / "a.ome.tif", names, **options))
    assert channels.layout == "OME-TIFF"
    assert channels.microns_per_pixel == pytest.approx(0.75)
    assert channels.reflectance.name == f"a.ome.tif (channel {2 if swapped else 1})"
    assert_channels(channels, *(PAIR[::-1] if swapped else PAIR))


def test_ome_tiff_with_a_pyramid_is_read_at_full_resolution(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(PAIR, subifds=1, tile=(16, 16), photometric="minisblack", metadata={"axes": "CYX"})
        tiff.write(PAIR[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    assert_channels(open_channels(tmp_path / "a.ome.tif"))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_ome_tiff_with_the_channels_as_samples(tmp_path: Path, planar: str) -> None:
    stored, axes = (np.moveaxis(PAIR, 0, -1), "YXS") if planar == "contig" else (PAIR, "SYX")
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stored, photometric="minisblack", planarconfig=planar, metadata={"axes": axes}
    )
    assert_channels(open_channels(tmp_path / "a.ome.tif"))


@pytest.mark.parametrize("options", [{"imagej": True, "metadata": {"axes": "CYX"}}, {"metadata": None}, {}])
def test_tiff_with_two_pages(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PAIR, photometric="minisblack", **options)
    channels = open_channels(tmp_path / "a.tif")
    assert channels.layout == "two-channel TIFF"
    assert_channels(channels)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_planes_that_follow_each_other_in_one_page_are_read(byteorder: str, tmp_path: Path) -> None:
    """As ImageJ saves stacks above 4 GB: the second plane simply follows the first, in no page of its own."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PAIR, imagej=True, truncate=True, metadata={"axes": "CYX"}, byteorder=byteorder)
    channels = open_channels(path)
    for plane, expected in zip((channels.reflectance, channels.fluorescence), PAIR, strict=True):
        np.testing.assert_array_equal(plane.read(plane.size.region), expected)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SlideError, match=r"a\.tif: (truncated|one grey channel)"):
        open_channels(path)


def test_three_channels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 20, 30), np.uint8), metadata={"axes": "CYX"})
    with pytest.raises(SlideError, match=r"3 channels; expected two|3 values per pixel"):
        open_channels(tmp_path / "a.ome.tif")


def ngff(path: Path, axes: str, change: Callable[[dict[str, Any]], None] = lambda image: None, **array: Any) -> Path:
    """Write PAIR as OME-Zarr: NGFF 0.5 in Zarr format 3, 0.4 in Zarr format 2."""
    form = array.pop("zarr_format", 2)
    group = zarr.open_group(str(path), mode="w", zarr_format=form)
    shape = {"t": 1, "c": 2, "z": 1, "y": 61, "x": 83}
    size = tuple(shape[axis] for axis in axes)
    chunks = tuple({"y": 16, "x": 32}.get(axis, 1) for axis in axes)
    group.create_array("0", shape=size, chunks=chunks, dtype="uint16", **array)[...] = PAIR.reshape(size)
    kinds = {"t": "time", "c": "channel"}
    described = [
        {"name": a, "type": kinds.get(a, "space"), **({"unit": "micrometer"} if a in "zyx" else {})} for a in axes
    ]
    scale = [0.75 if axis in "yx" else 1.0 for axis in axes]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    attributes: dict[str, Any] = {"multiscales": [{"version": "0.4", "axes": described, "datasets": [dataset]}]}
    change(attributes)
    group.attrs.update({"ome": {"version": "0.5", **attributes}} if form == 3 else attributes)
    return path


@pytest.mark.parametrize("axes", ["cyx", "tcyx", "tczyx"])
@pytest.mark.parametrize("form", [2, 3])
def test_ome_zarr(tmp_path: Path, axes: str, form: int) -> None:
    channels = open_channels(ngff(tmp_path / "a.ome.zarr", axes, zarr_format=form))
    assert channels.layout == "OME-Zarr"
    assert channels.reflectance.name == "a.ome.zarr (channel 1)"
    assert channels.microns_per_pixel == pytest.approx(0.75)
    assert_channels(channels)


def test_a_chunk_larger_than_the_cache_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CACHED_BYTES", 100)
    decoded, original = [], zarr.Array.__getitem__
    channels = open_channels(ngff(tmp_path / "a.zarr", "cyx"))
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, part: decoded.append(part) or original(self, part))
    for y in range(16):
        assert np.array_equal(channels.fluorescence.read(Region(0, y, 32, 1)), PAIR[1, y : y + 1, :32])
    assert len(decoded) == 1


def test_ome_zarr_in_shards(tmp_path: Path) -> None:
    assert_channels(open_channels(ngff(tmp_path / "a.zarr", "cyx", zarr_format=3, shards=(1, 64, 64))))


@pytest.mark.parametrize(("sharding", "total"), [({}, 24), ({"shards": (1, 64, 64), "zarr_format": 3}, 4)])
def test_missing_chunks_are_warned_of(tmp_path: Path, sharding: dict[str, Any], total: int) -> None:
    path = ngff(tmp_path / "a.zarr", "cyx", **sharding)
    min(file for file in path.rglob("[0-9]*") if file.is_file()).unlink()
    with pytest.warns(ConfostainWarning, match=rf"^a\.zarr: 1 of {total} chunks are missing; they count as 0"):
        channels = open_channels(path)
    assert not channels.reflectance.read(Region(0, 0, 32, 16)).any()
    np.testing.assert_array_equal(channels.fluorescence.read(Region(0, 0, 83, 61)), F)


def test_ome_zarr_goes_by_the_channel_labels(tmp_path: Path) -> None:
    def change(image: dict[str, Any]) -> None:
        image["omero"] = {"channels": [{"label": "fluorescence"}, {"label": "reflectance"}]}

    assert_channels(open_channels(ngff(tmp_path / "a.zarr", "cyx", change)), F, R)


def test_ome_zarr_pixel_size_multiplies_and_knows_units(tmp_path: Path) -> None:
    def change(image: dict[str, Any]) -> None:
        image["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1e3, 1e3]}]
        for axis in image["multiscales"][0]["axes"][1:]:
            axis["unit"] = "nanometer"

    assert open_channels(ngff(tmp_path / "a.zarr", "cyx", change)).microns_per_pixel == pytest.approx(0.75)


def test_ome_zarr_without_unit_has_no_pixel_size(tmp_path: Path) -> None:
    def change(image: dict[str, Any]) -> None:
        for axis in image["multiscales"][0]["axes"]:
            axis.pop("unit", None)

    assert open_channels(ngff(tmp_path / "a.zarr", "cyx", change)).microns_per_pixel is None


def test_ome_zarr_as_bioformats2raw_writes_it(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    ngff(tmp_path / "a.zarr" / "0", "tczyx")
    assert_channels(open_channels(tmp_path / "a.zarr"))


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda p: (p / ".zattrs").write_text("{}"), "no multiscales"),
        (lambda p: (p / ".zattrs").write_text('{"multi'), "cannot be read"),
        (lambda p: (p / "0" / ".zarray").unlink(), "cannot be read"),
        (lambda p: next((p / "0").rglob("[0-9]*")).write_bytes(b"damaged"), "is damaged"),
    ],
)
def test_a_damaged_ome_zarr_is_refused(tmp_path: Path, break_it: Callable[[Path], object], reason: str) -> None:
    path = ngff(tmp_path / "a.zarr", "cyx", chunk_key_encoding={"name": "v2", "separator": "."})
    break_it(path)
    with pytest.raises(SlideError, match=rf"^a\.zarr.*{reason}"):
        assert_channels(open_channels(path))


def test_importing_the_dock_loads_no_reader() -> None:
    code = "import sys, confostain.io.readers.layouts; print({'tifffile', 'pyvips', 'zarr'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real slides in ../shared")
def test_real_slides() -> None:
    skin_a = open_channels(SHARED / "cm" / "skin_a")
    assert skin_a.layout == "VivaScope mosaic"
    assert skin_a.microns_per_pixel == pytest.approx(0.75)
    for plane in (skin_a.reflectance, skin_a.fluorescence):
        stored = tifffile.imread(SHARED / "cm" / plane.name)
        np.testing.assert_array_equal(plane.read(plane.size.region), stored)
    skin_b, prostate = SHARED / "cm" / "skin_b", SHARED / "otls" / "prostate"
    pair = open_channels(reflectance=skin_b / "R.jpg", fluorescence=skin_b / "F.jpg")
    decoded = imagecodecs.jpeg_decode((skin_b / "R.jpg").read_bytes())
    np.testing.assert_array_equal(pair.reflectance.read(Region(0, 0, 512, 512)), decoded)
    assert pair.microns_per_pixel is None  # the EXIF density, 25 px/cm, is no pixel size
    light_sheet = open_channels(reflectance=prostate / "eosin.tif", fluorescence=prostate / "nuclear.tif")
    assert light_sheet.reflectance.size == Size(800, 2000)
