"""Regions and rows of one grey plane against the same plane in memory, for every way pixels are stored."""

import errno
import itertools
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.io.readers import sources, tiff_pixels
from confostain.io.readers.layouts import open_grey
from confostain.io.readers.plane import Plane, as_slide_error


def painted(height: int, width: int, dtype: str = "uint16") -> np.ndarray:
    """Smooth ramps with noise: compresses, and no two rows or columns are alike."""
    noise = np.random.default_rng(height * 1000 + width).integers(0, 40, (height, width))
    values = noise + 7 * np.arange(height)[:, None] + 11 * np.arange(width)
    return (values / 3).astype(dtype) if dtype == "float32" else (values * 37).astype(dtype)


def cut(image: np.ndarray, region: Region) -> np.ndarray:
    """The slow obvious twin of `Plane.read`."""
    out = np.zeros((region.height, region.width), image.dtype)
    for row, column in itertools.product(range(region.height), range(region.width)):
        y, x = region.y + row, region.x + column
        if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
            out[row, column] = image[y, x]
    return out


def whole(plane: Plane) -> np.ndarray:
    return plane.read(plane.size.region)


regions = st.builds(Region, st.integers(-30, 60), st.integers(-30, 60), st.integers(0, 40), st.integers(0, 40))


@st.composite
def tiff_options(draw: st.DrawFn, dtype: str) -> dict[str, Any]:
    options: dict[str, Any] = {"bigtiff": draw(st.booleans()), "byteorder": draw(st.sampled_from("<>"))}
    options["compression"] = draw(st.sampled_from([None, "zlib", "lzw", "zstd", "packbits"]))
    if options["compression"] in ("zlib", "lzw", "zstd"):
        options["predictor"] = draw(st.booleans())
    if draw(st.booleans()):
        options["tile"] = (draw(st.sampled_from([16, 32])), draw(st.sampled_from([16, 48])))
    else:
        options["rowsperstrip"] = draw(st.integers(1, 70))
    return options


@pytest.fixture(params=["as shipped", "small"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit as shipped, then so small that each is met by an image of a few rows."""
    if request.param == "small":
        monkeypatch.setattr(sources, "BAND_BYTES", 500)
        monkeypatch.setattr(sources, "CACHED_BYTES", 3000)
        monkeypatch.setattr(tiff_pixels, "_STREAMED_BYTES", 0)
        monkeypatch.setattr(tiff_pixels, "_READ_BYTES", 50)
        monkeypatch.setattr(tiff_pixels, "_INFLATED_BYTES", 300)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(1, 60), st.sampled_from(["uint8", "uint16", "float32"]))
@pytest.mark.usefixtures("limits")
def test_any_region_of_any_tiff(data: st.DataObject, height: int, width: int, dtype: str) -> None:
    image = painted(height, width, dtype)
    options = data.draw(tiff_options(dtype))
    with TemporaryDirectory() as folder:
        path = Path(folder, "image.tif")
        tifffile.imwrite(path, image, photometric="minisblack", **options)
        plane = open_grey(path)
        for region in data.draw(st.lists(regions, min_size=1, max_size=4)):
            found = plane.read(region)
            assert found.dtype == image.dtype
            np.testing.assert_array_equal(found, cut(image, region))
        plane.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(1, 40), st.integers(1, 70))
@pytest.mark.usefixtures("limits")
def test_scan_gives_one_row_of_each_block_row_in_order(data: st.DataObject, height: int, width: int, step: int) -> None:
    image = painted(height, width)
    with TemporaryDirectory() as folder:
        path = Path(folder, "image.tif")
        tifffile.imwrite(path, image, photometric="minisblack", **data.draw(tiff_options("uint16")))
        plane = open_grey(path)
        bands = list(plane.scan(step))
        plane.close()
    assert [first for first, _ in bands] == [0, *np.cumsum([len(rows) for _, rows in bands])[:-1]]
    rows = np.concatenate([rows for _, rows in bands])
    assert len(rows) == -(-height // step)
    np.testing.assert_array_equal(rows, image[min(step // 2, (height - 1) % step) :: step])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib", "predictor": True}])
@pytest.mark.usefixtures("limits")
def test_two_samples_per_pixel(tmp_path: Path, planar: str, options: dict[str, Any]) -> None:
    from confostain.io.readers.tiff import open_tiff

    pair = np.stack([painted(45, 37), painted(37, 45).T])
    stored = np.moveaxis(pair, 0, -1) if planar == "contig" else pair
    for byteorder in "<>":
        path = tmp_path / f"{byteorder}.tif"
        tifffile.imwrite(
            path,
            stored,
            photometric="minisblack",
            planarconfig=planar,
            byteorder=byteorder,
            rowsperstrip=7,
            **options,
        )
        for plane, image in zip(open_tiff(path).planes, pair, strict=True):
            np.testing.assert_array_equal(plane.read(Region(-3, 5, 30, 50)), cut(image, Region(-3, 5, 30, 50)))


def test_interleaved_samples_are_decoded_once_and_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from confostain.io.readers.tiff import open_tiff

    decoded: list[int] = []
    decode = tiff_pixels._decoded

    def counted(page: Any, segments: Any, file: Any, index: int) -> np.ndarray:
        tile = decode(page, segments, file, index)
        decoded.append(tile.nbytes)
        assert tile.base is None or tile.base.nbytes == tile.nbytes  # nothing more is held than is counted
        return tile

    monkeypatch.setattr(tiff_pixels, "_decoded", counted)
    pair = np.stack([painted(45, 37), painted(37, 45).T])
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(pair, 0, -1),
        photometric="minisblack",
        planarconfig="contig",
        tile=(16, 16),
        compression="zlib",
    )
    planes = open_tiff(tmp_path / "a.tif").planes
    for plane, image in zip(planes, pair, strict=True):
        np.testing.assert_array_equal(whole(plane), image)
    assert decoded == [16 * 16 * 2 * 2] * 9


def write_png(path: Path, image: np.ndarray) -> None:
    path.write_bytes(imagecodecs.png_encode(image))


def write_interlaced_png(path: Path, image: np.ndarray) -> None:
    pyvips.Image.new_from_array(image).copy(interpretation="grey16").pngsave(str(path), interlace=True)


def write_jpeg(path: Path, image: np.ndarray) -> None:
    path.write_bytes(imagecodecs.jpeg_encode(image, level=95))


def write_stored(path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(path, image, resolution=(1e4, 1e4), resolutionunit="CENTIMETER", rowsperstrip=9)


def write_tiled(path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(path, image, tile=(32, 32), compression="zlib")


def write_strips(path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(path, image, rowsperstrip=20, compression="lzw", bigtiff=True)


def write_by_libtiff(path: Path, image: np.ndarray) -> None:
    """Directory and tags at the end of the file, where libtiff puts them."""
    pyvips.Image.new_from_array(image).tiffsave(str(path), compression="deflate", xres=1e3, yres=1e3)


writers = pytest.mark.parametrize(
    ("write", "dtype"),
    [
        (write_png, "uint8"),
        (write_png, "uint16"),
        (write_interlaced_png, "uint16"),
        (write_jpeg, "uint8"),
        (write_stored, "uint16"),
        (write_tiled, "uint16"),
        (write_strips, "uint8"),
        (write_by_libtiff, "uint16"),
    ],
)
Writer = Callable[[Path, np.ndarray], None]


def attempt(path: Path) -> tuple[np.ndarray, float | None] | SlideError:
    """Pixels and pixel size, or the refusal; any other exception goes through."""
    try:
        plane = open_grey(path)
        return whole(plane), plane.microns_per_pixel
    except SlideError as error:
        return error


def reference(path: Path, image: np.ndarray) -> np.ndarray:
    return imagecodecs.jpeg_decode(path.read_bytes()) if path.read_bytes()[:2] == b"\xff\xd8" else image


@writers
def test_pictures_and_tiffs_of_every_kind(tmp_path: Path, write: Writer, dtype: str) -> None:
    image = painted(70, 90, dtype)
    write(tmp_path / "image", image)
    plane = open_grey(tmp_path / "image")
    assert plane.dtype == dtype
    for region in (
        Region(0, 0, 90, 70),
        Region(-5, -6, 20, 21),
        Region(80, 60, 30, 30),
        Region(300, 0, 4, 4),
    ):
        np.testing.assert_array_equal(plane.read(region), cut(reference(tmp_path / "image", image), region))


@writers
def test_a_truncated_file_is_refused_or_reads_right(
    tmp_path: Path, write: Writer, dtype: str, capfd: pytest.CaptureFixture[str]
) -> None:
    image = painted(70, 90, dtype)
    write(tmp_path / "image", image)
    data, expected = (tmp_path / "image").read_bytes(), reference(tmp_path / "image", image)
    microns_per_pixel = open_grey(tmp_path / "image").microns_per_pixel
    refused = 0
    ends = [*random.Random(5).sample(range(len(data) - 12), 40), *range(len(data) - 12, len(data))]
    for end in ends:
        path = tmp_path / f"cut{end}"
        path.write_bytes(data[:end])
        found = attempt(path)
        if isinstance(found, SlideError):
            refused += 1
            assert "\n" not in str(found)
            assert path.name in str(found)
        else:
            np.testing.assert_array_equal(found[0], expected)
            assert found[1] == microns_per_pixel
    assert refused >= 40
    assert capfd.readouterr() == ("", "")


def test_decoders_do_not_talk_on_stderr(tmp_path: Path) -> None:
    """In a program without logging of its own, as the command line is; under pytest nothing would show."""
    write_by_libtiff(tmp_path / "a.tif", painted(70, 90))
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-4])
    code = """if True:
        import sys
        from confostain.io.readers.layouts import open_grey
        try:
            open_grey(sys.argv[1])
        except Exception as error:
            print(error)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "a.tif")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tags can be read" in found.stdout
    assert found.stderr == ""


@writers
@pytest.mark.filterwarnings("ignore::confostain.errors.ConfostainWarning")
def test_a_damaged_file_never_raises_anything_else(tmp_path: Path, write: Writer, dtype: str) -> None:
    write(tmp_path / "image", painted(40, 50, dtype))
    data = (tmp_path / "image").read_bytes()
    chance = random.Random(7)
    outcomes = set()
    for i in range(40):
        damaged = bytearray(data)
        for at in (chance.randrange(len(data)), chance.randrange(min(len(data), 300))):
            damaged[at] = chance.randrange(256)
        (tmp_path / f"damaged{i}").write_bytes(damaged)
        found = attempt(tmp_path / f"damaged{i}")
        outcomes.add(type(found))
        assert "\n" not in (str(found) if isinstance(found, SlideError) else "")
    assert SlideError in outcomes


@pytest.mark.parametrize("write", [write_png, write_stored, write_tiled, write_strips])
def test_threads_read_side_by_side(tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CACHED_BYTES", 10_000)
    image = painted(200, 230)
    write(tmp_path / "image", image)
    plane = open_grey(tmp_path / "image")
    chance = random.Random(3)
    wanted = [Region(chance.randrange(180), chance.randrange(160), 50, 40) for _ in range(300)]
    with ThreadPoolExecutor(8) as pool:
        for region, found in zip(wanted, pool.map(plane.read, wanted), strict=True):
            part = image[region.y : region.bottom, region.x : region.right]
            np.testing.assert_array_equal(found[: part.shape[0], : part.shape[1]], part)


def test_decoded_chunks_are_kept_up_to_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CACHED_BYTES", 30)
    decoded: list[int] = []

    def decode(index: int) -> npt.NDArray[np.uint8]:
        decoded.append(index)
        return np.full(10, index, np.uint8)

    load = sources.cached_chunks(decode, 10)
    for index in (1, 2, 3, 1, 4, 1, 3, 2):  # 4 takes the place of 2, which was used least recently
        assert load(index).max() == index
    assert decoded == [1, 2, 3, 4, 2]


def test_a_chunk_larger_than_the_cache_is_still_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CACHED_BYTES", 30)
    decoded: list[int] = []

    def decode(index: int) -> npt.NDArray[np.uint8]:
        decoded.append(index)
        return np.zeros(100, np.uint8)

    load = sources.cached_chunks(decode, 100)
    for index in (1, 1, 2, 2, 1):
        load(index)
    assert decoded == [1, 2, 1]


def test_threads_decode_chunks_side_by_side() -> None:
    both = threading.Barrier(2, timeout=60)

    def decode(index: int) -> npt.NDArray[np.uint8]:
        both.wait()  # for ever, if one waited for the other
        return np.full(1, index, np.uint8)

    with ThreadPoolExecutor(2) as pool:
        assert [chunk[0] for chunk in pool.map(sources.cached_chunks(decode, 1), (1, 2))] == [1, 2]


def test_a_tile_larger_than_the_cache_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CACHED_BYTES", 100)
    decoded, original = [], tiff_pixels._decoded
    monkeypatch.setattr(tiff_pixels, "_decoded", lambda *given: decoded.append(given) or original(*given))
    image = painted(64, 64)
    tifffile.imwrite(tmp_path / "image.tif", image, tile=(64, 64), compression="deflate")
    plane = open_grey(tmp_path / "image.tif")
    for y in range(0, 64, 8):
        np.testing.assert_array_equal(plane.read(Region(0, y, 64, 8)), image[y : y + 8])
    assert len(decoded) == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EMFILE, "Too many files")]
)
def test_what_is_not_the_files_fault_goes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as found, as_slide_error("a.tif"):
        raise error
    assert found.value is error


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.EISDIR])
def test_what_cannot_be_opened_is_not_called_damaged(number: int) -> None:
    with pytest.raises(SlideError, match=r"^a\.tif: cannot be opened \(.*permissions$"), as_slide_error("a.tif"):
        raise OSError(number, "said by the system")


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (np.eye(20)[..., np.newaxis] * [9, 0, 0], {"photometric": "rgb"}, "pixels|3 values per pixel"),
        (np.uint8(np.eye(20)[..., np.newaxis] * [9, 0, 0]), {"photometric": "rgb"}, "colour"),
        (np.zeros((20, 20), np.complex64), {}, "pixels are complex64"),
        (np.zeros((20, 20), bool), {"photometric": "minisblack"}, "1 bits"),
        (np.zeros((5, 20, 20), np.uint8), {"imagej": True, "metadata": {"axes": "ZYX"}}, "a stack"),
        (np.zeros((2, 20, 20), np.uint8), {"photometric": "minisblack"}, "2 planes"),
    ],
)
def test_what_is_no_grey_plane_is_refused(
    tmp_path: Path, image: np.ndarray, options: dict[str, Any], reason: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    with pytest.raises(SlideError, match=rf"^a.tif: .*{reason}"):
        open_grey(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image at all", "cannot be read"),
        (b"II*\0", "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>", "format"),
        (imagecodecs.png_encode(np.full((9, 9, 3), (9, 9, 8), np.uint8)), "3 values per pixel"),
        (imagecodecs.png_encode(np.full((9, 9, 4), (9, 0, 9, 255), np.uint8)), "4 values per pixel"),
        (imagecodecs.jpeg_encode(np.full((9, 9, 3), (200, 0, 9), np.uint8)), "3 values per pixel"),
    ],
)
def test_what_is_no_grey_image_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SlideError, match=rf"^a: .*{reason}"):
        open_grey(tmp_path / "a")


def test_png_of_one_bit_is_refused(tmp_path: Path) -> None:
    black = pyvips.Image.black(20, 20)
    black.pngsave(str(tmp_path / "a.png"), bitdepth=1)
    with pytest.raises(SlideError, match="1 bits"):
        open_grey(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resolution": (40000 / 3, 40000 / 3), "resolutionunit": "CENTIMETER"}, 0.75),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (2, 2), "resolutionunit": "NONE"}, None),
        ({}, None),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "micron"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "\\u00B5m"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "pixel"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.54, "PhysicalSizeY": 0.54}}, 0.54),
        ({"ome": True, "metadata": {"PhysicalSizeX": 540, "PhysicalSizeXUnit": "nm"}}, 0.54),
        ({"ome": True, "metadata": {"PhysicalSizeX": 5.4e-4, "PhysicalSizeXUnit": "mm"}}, 0.54),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}}, None),
    ],
)
def test_pixel_size_as_the_metadata_say(tmp_path: Path, options: dict[str, Any], expected: float | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", painted(20, 20), **options)
    found = open_grey(tmp_path / "a.tif").microns_per_pixel
    assert found == (expected and pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize(("pixels_per_mm", "expected"), [(2000, 0.5), (300 / 25.4, None)])
def test_pixel_size_of_a_png(tmp_path: Path, pixels_per_mm: float, expected: float | None) -> None:
    picture = pyvips.Image.black(20, 20).copy(xres=pixels_per_mm, yres=pixels_per_mm)
    picture.pngsave(str(tmp_path / "a.png"))
    found = open_grey(tmp_path / "a.png").microns_per_pixel
    assert found == (expected and pytest.approx(expected, rel=1e-3))


def test_unpacking_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    write_png(tmp_path / "a.png", painted(30, 40))
    plane = open_grey(tmp_path / "a.png")
    whole(plane)
    assert list(spool.iterdir()) == []
    plane.close()
    with pytest.raises(SlideError, match=r"^a\.png: "):
        whole(plane)


def test_no_room_to_unpack_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(1000, 488, 512))
    write_png(tmp_path / "a.png", painted(30, 40))
    with pytest.raises(SlideError, match=r"too little disk space.* expected 1 MB"):
        whole(open_grey(tmp_path / "a.png"))


def test_threads_unpack_a_file_once() -> None:
    image, unpacked = painted(30, 40), []

    def unpack(target: BinaryIO) -> None:
        unpacked.append(target)
        time.sleep(0.05)
        target.write(image.data)

    source = sources.Unpacked("a.png", Size(40, 30), image.dtype, unpack)
    plane = Plane("painted", Size(40, 30), image.dtype, None, source)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(plane.read, [plane.size.region] * 4):
            np.testing.assert_array_equal(found, image)
    assert len(unpacked) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux' /proc")
def test_memory_stays_flat_while_a_large_single_strip_is_unpacked(tmp_path: Path) -> None:
    """48 MB of rows in one deflate strip, unpacked by a fresh process: its peak grows by far less."""
    large = np.tile(painted(200, 300), (20, 20))
    tifffile.imwrite(tmp_path / "a.tif", large, compression="zlib", rowsperstrip=len(large))
    code = """if True:
        import re, sys
        from pathlib import Path
        from confostain.geometry import Region, Size
        from confostain.io.readers.layouts import open_grey
        peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
        plane = open_grey(sys.argv[1])
        before = peak()
        plane.read(Region(0, 0, 8, 8))
        print((peak() - before) // 1024)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "a.tif")]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 40
