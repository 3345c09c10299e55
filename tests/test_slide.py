from __future__ import annotations

import sys
import threading
import tracemalloc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region, Size
from confostain.imaging.intensity import IntensityRange, normalise
from confostain.imaging.tissue import TissueMask
from confostain.io.readers.plane import Plane
from confostain.simulation.phantom import Phantom
from confostain.slide import Slide, open_slide
from confostain.survey import Survey, survey_slide

SHARED = Path(__file__).parents[2] / "shared" / "data"
NUMBERS = np.random.default_rng(11)


def write_pair(folder: Path, reflectance: npt.NDArray[np.generic], fluorescence: npt.NDArray[np.generic]) -> Path:
    """One file per laser line, without a pixel size."""
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / "785.tif", reflectance, photometric="minisblack")
    tifffile.imwrite(folder / "488.tif", fluorescence, photometric="minisblack")
    return folder


def blotches(shape: tuple[int, int], brightness: float = 20000) -> npt.NDArray[np.uint16]:
    coarse = NUMBERS.random((shape[0] // 20 + 1, shape[1] // 20 + 1)) ** 2
    smooth = 1000 + brightness * np.kron(coarse, np.ones((20, 20)))[: shape[0], : shape[1]]
    return (smooth * NUMBERS.normal(1, 0.05, shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def raw() -> npt.NDArray[np.uint16]:
    """A field of tissue, (2, 301, 405)."""
    return np.stack([blotches((301, 405)), blotches((301, 405), 40000)])


@pytest.fixture(scope="module")
def folder(raw: npt.NDArray[np.uint16], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair(tmp_path_factory.mktemp("pair") / "scan 7", *raw)


def test_what_a_slide_says_of_itself(phantom_scan: Path, phantom: Phantom) -> None:
    with open_slide(phantom_scan) as slide:
        facts = slide.facts()
        assert slide.size == (phantom.size.width, phantom.size.height)
        assert slide.microns_per_pixel == pytest.approx(0.75)
        assert slide.dtype == np.uint16
        truth = phantom.tissue(phantom.size.region).mean()
        assert truth <= slide.tissue.share < 1
    assert facts["size"] == list(slide.size)
    assert facts["dtype"] == "uint16"
    assert facts["tissue_share"] == slide.tissue.share


def test_regions_are_the_stored_pixels_brought_to_the_slides_range(folder: Path, raw: npt.NDArray[np.uint16]) -> None:
    with open_slide(folder) as slide:
        whole = slide.read_region((0, 0), slide.size)
        expected = [normalise(channel, rng) for channel, rng in zip(raw, slide.ranges, strict=True)]
        part = slide.read_region((-30, 290), (100, 40))
    assert whole.dtype == np.float32
    assert np.array_equal(whole, expected)
    assert np.array_equal(part[:, :11, 30:], whole[:, 290:, :70])
    assert not part[:, 11:].any()
    assert not part[:, :, :30].any()


def test_a_region_off_the_slide_is_black(folder: Path) -> None:
    with open_slide(folder) as slide:
        assert not slide.read_region((5000, -900), (20, 30)).any()
        assert slide.read(Region(0, 0, 0, 5)).shape == (2, 5, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("value", [0, 7])
def test_an_empty_slide_has_no_tissue_and_reads_as_black(tmp_path: Path, dtype: type, value: int) -> None:
    empty = np.full((200, 300), value, dtype)
    with open_slide(write_pair(tmp_path / "slide", empty, empty)) as slide:
        with pytest.warns(ConfostainWarning, match=r"^slide: no tissue found in 785\.tif or 488\.tif; .*white"):
            assert slide.tissue.share == 0
        assert not slide.read_region((0, 0), (300, 200)).any()


def test_the_range_does_not_depend_on_the_dtype(tmp_path: Path) -> None:
    """12 bits in 16, and the same as float."""
    field = blotches((300, 300)) // 16
    regions = []
    for dtype in (np.uint16, np.float32):
        with open_slide(write_pair(tmp_path / "slide", field.astype(dtype), field.astype(dtype))) as slide:
            regions.append(slide.read_region((0, 0), slide.size))
    assert np.array_equal(*regions)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (17, 16)])
def test_slides_smaller_than_anything_are_read(tmp_path: Path, shape: tuple[int, int]) -> None:
    field = blotches(shape)
    with open_slide(write_pair(tmp_path / "slide", field, field)) as slide:
        assert slide.read_region((0, 0), slide.size).shape == (2, *shape)


def test_given_pixel_size_counts_where_the_files_say_none(folder: Path) -> None:
    with open_slide(folder) as slide:
        assert slide.microns_per_pixel is None
    with open_slide(folder, microns_per_pixel=0.54) as slide:
        assert slide.microns_per_pixel == 0.54


def test_a_pixel_size_that_contradicts_the_files_is_refused(phantom_scan: Path) -> None:
    with open_slide(phantom_scan, microns_per_pixel=0.755) as slide:
        assert slide.microns_per_pixel == pytest.approx(0.75)
    with pytest.raises(OptionError, match=r"0\.54 um given.* states 0\.75"):
        open_slide(phantom_scan, microns_per_pixel=0.54)


@pytest.mark.parametrize("length", [0, -1, float("nan"), float("inf"), 750, 0.049, 20.1])
def test_a_pixel_size_that_no_microscope_has_is_refused(folder: Path, length: float) -> None:
    with pytest.raises(OptionError, match=r"expected 0\.05 to 20; give um"):
        open_slide(folder, microns_per_pixel=length)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("planar.ome.tif", "planar"),
        ("patient 4711.v2.TIFF", "patient 4711.v2"),
        ("patient 4711.v2", "patient 4711.v2"),
        ("a.ome.btf", "a"),
    ],
)
def test_a_slide_is_called_like_its_file(tmp_path: Path, raw: npt.NDArray[np.uint16], name: str, expected: str) -> None:
    tifffile.imwrite(tmp_path / name, raw, photometric="minisblack", ome=".ome." in name)
    with open_slide(tmp_path / name) as slide:
        assert slide.name == expected
        assert slide.sources[0].startswith(name)


def test_a_folder_keeps_its_whole_name(
    tmp_path: Path, raw: npt.NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pair(tmp_path / "patient 4711.v2", *raw)
    monkeypatch.chdir(folder)
    for path in (folder, "."):
        with open_slide(path) as slide:
            assert slide.name == "patient 4711.v2"


def test_a_mosaic_is_called_like_its_scan(
    tmp_path: Path, raw: npt.NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "patient7.v2" / "mosaic1" / detector / "highres_raw.tif" for detector in ("DET#1", "DET#2")]
    for file, channel in zip(files, raw, strict=True):
        file.parent.mkdir(parents=True)
        tifffile.imwrite(file, channel, photometric="minisblack")
    mosaic = files[0].parents[1]
    monkeypatch.chdir(mosaic)
    both = {"reflectance": files[0], "fluorescence": files[1]}
    for where in ({"path": mosaic}, {"path": mosaic.parent}, {"path": "."}, {"path": ".."}, both):
        with open_slide(**where) as slide:
            assert slide.name == "patient7.v2/mosaic1"
            assert slide.sources == tuple(f"patient7.v2/mosaic1/DET#{n}/highres_raw.tif" for n in (1, 2))


def test_a_slide_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="no such file"):
        open_slide(tmp_path / "nothing")


# regions in micrometres, thumbnails, dask -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(folder: Path) -> Iterator[Slide]:
    """The field of tissue with 0.5 um/px, already surveyed."""
    with open_slide(folder, microns_per_pixel=0.5) as slide:
        assert slide.ranges
        yield slide


def test_a_region_in_um_is_that_region_in_pixels(measured: Slide) -> None:
    assert np.array_equal(measured.read_region_um((10, 20), (50, 30.2)), measured.read_region((20, 40), (100, 60)))
    assert measured.read_region_um((-5.2, 0), (20, 0)).shape == (2, 0, 40)


def test_micrometres_need_a_pixel_size(folder: Path) -> None:
    with open_slide(folder) as slide:
        for read in (lambda: slide.read_region_um((0, 0), (10, 10)), lambda: slide.thumbnail(10)):
            with pytest.raises(OptionError, match=r"pixel size is unknown.*microns_per_pixel \(--mpp\)"):
                read()


@given(st.one_of(st.floats(0.5, 300), st.integers(1, 40).map(lambda factor: factor / 2)))
def test_a_thumbnail_keeps_the_mean_over_the_area(measured: Slide, um_per_px: float) -> None:
    whole = measured.read_region((0, 0), measured.size)
    thumbnail = measured.thumbnail(um_per_px)
    assert thumbnail.dtype == np.float32
    scale = um_per_px / 0.5
    assert thumbnail.shape == (2, *(max(1, int(np.ceil(length / scale - 0.01))) for length in (301, 405)))
    heights, widths = (
        np.diff([*np.arange(count) * scale, length])
        for count, length in zip(thumbnail.shape[1:], (301, 405), strict=True)
    )
    area = np.outer(heights, widths)
    assert (thumbnail * area).sum(axis=(1, 2)) / area.sum() == pytest.approx(whole.mean(axis=(1, 2)), abs=1e-5)


@pytest.mark.parametrize("um_per_px", [0.5, 0.4999])
def test_a_thumbnail_at_the_slides_own_scale_is_the_slide(measured: Slide, um_per_px: float) -> None:
    assert np.array_equal(measured.thumbnail(um_per_px), measured.read_region((0, 0), measured.size))


@given(st.floats(0.5, 200))
@settings(max_examples=20)
def test_the_thumbnail_of_a_constant_slide_is_constant(half_bright: Slide, um_per_px: float) -> None:
    thumbnail = half_bright.thumbnail(um_per_px)
    assert np.abs(thumbnail[0] - thumbnail[0, 0, 0]).max() <= 2e-6
    assert thumbnail[0, 0, 0] == pytest.approx(0.6, abs=1e-3)


@pytest.fixture(scope="module")
def half_bright(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    """A constant slide, 0.5 um/px, read as 0.6 since its ranges are set."""
    level = np.full((120, 130), 1600, np.uint16)
    folder = write_pair(tmp_path_factory.mktemp("constant") / "slide", level, level)
    with open_slide(folder, microns_per_pixel=0.5) as slide:
        intensity = IntensityRange(1000, 2000)
        tissue = TissueMask(np.ones((8, 9), np.bool_), 16, slide.size)
        slide._survey_done = Survey((intensity, intensity), tissue, False, np.zeros((2, 8, 9), np.float32))
        yield slide


@pytest.mark.parametrize("um_per_px", [0.49, 0, -1, float("nan"), float("inf")])
def test_a_thumbnail_is_never_finer_than_the_slide(measured: Slide, um_per_px: float) -> None:
    with pytest.raises(OptionError, match=r"expected at least the slide's 0\.5 um/px"):
        measured.thumbnail(um_per_px)


def test_the_memory_of_a_thumbnail_does_not_grow_with_the_slide(
    measured: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = 0

    def read(self: Slide, region: Region) -> npt.NDArray[np.float32]:
        nonlocal largest
        largest = max(largest, region.size.pixels)
        return np.zeros((2, region.height, region.width), np.float32)

    monkeypatch.setattr(Slide, "read", read)
    monkeypatch.setattr(Slide, "size", Size(9_000, 30_000))
    tracemalloc.start()
    thumbnail = measured.thumbnail(50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert thumbnail.shape == (2, 300, 90)
    assert largest <= 2048 * 1024
    assert peak < 40 << 20  # of 2.2 GB


@given(st.integers(0, 404), st.integers(0, 300), st.integers(1, 405), st.integers(1, 301), st.integers(1, 500))
@settings(max_examples=30)
def test_a_dask_array_is_the_slide(measured: Slide, x: int, y: int, width: int, height: int, chunk: int) -> None:
    whole = measured.to_dask(max(chunk, 13))
    assert (whole.shape, whole.dtype) == ((2, 301, 405), np.float32)
    width, height = min(width, 405 - x), min(height, 301 - y)
    part = whole[:, y : y + height, x : x + width]
    computed = part.compute()
    assert computed.dtype == np.float32
    assert np.array_equal(computed, measured.read_region((x, y), (width, height)))


def test_a_dask_array_reads_only_the_chunks_that_are_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regions: list[Region] = []

    def read(self: Slide, region: Region) -> npt.NDArray[np.float32]:
        regions.append(region)
        return np.zeros((2, region.height, region.width), np.float32)

    def surveyed(*planes: object) -> None:
        raise AssertionError("the slide was surveyed")

    monkeypatch.setattr(Slide, "read", read)
    monkeypatch.setattr("confostain.slide.survey_slide", surveyed)
    with open_slide(folder) as slide:
        whole = slide.to_dask(100)
        assert whole.chunks == ((2,), (100, 100, 100, 1), (100, 100, 100, 100, 5))
        assert regions == []
        whole[0, 250:, 401:].compute()
    assert sorted(regions, key=lambda region: region.y) == [Region(400, 200, 5, 100), Region(400, 300, 5, 1)]


def test_threads_share_one_survey(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surveys: list[object] = []
    both = threading.Barrier(2)

    def survey(*planes: Plane, given: Any, in_both: Region) -> Survey:
        surveys.append(planes)
        return survey_slide(*planes, given=given, in_both=in_both)

    def ranges(slide: Slide) -> object:
        both.wait()
        return slide.ranges

    monkeypatch.setattr("confostain.slide.survey_slide", survey)
    with open_slide(folder) as slide, ThreadPoolExecutor(2) as pool:
        one, other = pool.map(ranges, [slide, slide])
    assert one is other
    assert len(surveys) == 1


def test_without_dask_it_says_how_to_get_it(measured: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(OptionError, match=r"pip install 'confostain\[dask\]'"):
        measured.to_dask()


@pytest.mark.parametrize("chunk", [0, -5])
def test_a_chunk_has_at_least_one_pixel(measured: Slide, chunk: int) -> None:
    with pytest.raises(OptionError, match="expected a side of at least 1 px"):
        measured.to_dask(chunk)


def test_a_slide_describes_itself_without_being_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*anything: object) -> None:
        raise AssertionError("the slide was read")

    monkeypatch.setattr(Plane, "_fill", read)
    with open_slide(folder) as slide:
        expected = "<Slide 'scan 7': one file per channel, 405 x 301 px, uint16, pixel size unknown>"
        assert repr(slide) == expected
    with open_slide(folder, microns_per_pixel=0.54) as slide:
        pass
    assert repr(slide).endswith("uint16, 0.54 um/px>")  # after it is closed, too


@pytest.mark.parametrize(("path", "read_from"), [("785.tif", True), (".", True), ("..", True), ("other.tif", False)])
def test_a_slide_knows_what_it_is_read_from(folder: Path, path: str, read_from: bool) -> None:
    with open_slide(folder) as slide:
        assert slide.files.holds(folder / path) is read_from


# swapped channels ---------------------------------------------------------------------------------------------


def with_nuclei(plain: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    dotted = plain.copy()
    for y, x in NUMBERS.integers(0, min(plain.shape), (900, 2)):
        dotted[y : y + 6, x : x + 6] = np.minimum(dotted[y : y + 6, x : x + 6] * 2.0, 60000)
    return dotted


def test_swapped_channels_are_swapped_back(folder: Path) -> None:
    with open_slide(folder) as slide, open_slide(folder, swap_channels=True) as swapped:
        assert np.array_equal(swapped.read_region((9, 9), (50, 40)), slide.read_region((9, 9), (50, 40))[::-1])
        assert swapped.sources == slide.sources[::-1]


def test_channels_that_look_swapped_are_warned_of_once(tmp_path: Path) -> None:
    plain = blotches((500, 600), 8000) + np.uint16(9000)
    scan = write_pair(tmp_path / "slide", with_nuclei(plain), plain)
    with open_slide(scan) as slide:
        with pytest.warns(ConfostainWarning, match=r"785\.tif.*--swap-channels"):
            assert slide.channels_look_swapped
        slide.read_region((0, 0), (10, 10))  # a second warning would be an error
    with open_slide(scan, swap_channels=True) as slide:
        assert not slide.channels_look_swapped


# real slides --------------------------------------------------------------------------------------------------

REAL = {
    "skin_a": {"path": SHARED / "cm/skin_a"},
    "skin_b": {"reflectance": SHARED / "cm/skin_b/R.jpg", "fluorescence": SHARED / "cm/skin_b/F.jpg"},
    "prostate": {
        "reflectance": SHARED / "otls/prostate/eosin.tif",
        "fluorescence": SHARED / "otls/prostate/nuclear.tif",
    },
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="real slides lie beside the checkout, in ../shared/data; absent here")
@pytest.mark.parametrize("name", REAL)
def test_real_fields_are_all_tissue_and_their_channels_are_known(name: str) -> None:
    with open_slide(**REAL[name]) as slide:
        assert slide.tissue.share == 1
        assert not slide.channels_look_swapped
        pair = slide.read_region((0, 0), slide.size)
        assert (np.median(pair, axis=(1, 2)) > 0.1).all()
    with open_slide(**REAL[name], swap_channels=True) as slide, warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert slide.channels_look_swapped


def test_a_slide_is_closed_at_the_end_of_with(folder: Path) -> None:
    slide: Slide = open_slide(folder)
    with slide:
        slide.read_region((0, 0), (5, 5))
    with pytest.raises(SlideError):
        slide.read_region((0, 0), (5, 5))
