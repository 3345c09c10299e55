from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region
from confostain.imaging.intensity import normalise
from confostain.simulation.phantom import Phantom
from confostain.slide import Slide, open_slide

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
