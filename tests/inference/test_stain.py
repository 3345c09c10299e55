import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from scipy import ndimage

import confostain
from confostain.errors import ConfostainWarning, ModelError, OptionError, OutputError, SlideError
from confostain.geometry import Region, Size
from confostain.imaging.linear_stain import gareau
from confostain.models.registry import load_model
from confostain.models.stainer import linear_stain
from confostain.slide import Slide, open_slide

Pair = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]


@pytest.fixture
def slide(phantom_scan: Path) -> Iterator[Slide]:
    with open_slide(phantom_scan) as slide:
        yield slide


def pixels(path: Path) -> Rgb:
    return np.asarray(tifffile.imread(path))


def stained(slide: Slide, path: Path, **options: object) -> Rgb:
    confostain.stain_slide(slide, path, quality=None, **options)  # type: ignore[arg-type]
    return pixels(path)


@dataclass(frozen=True)
class Neighbourhood:
    """Stands for a network: integer sums over 11 x 11, computed on a grid of stride 4."""

    name: str = "neighbourhood"
    stride: int = 4
    receptive_field: int = 11 + 2 * 3
    weights_sha256: str | None = "abc123"

    def __call__(self, pair: Pair) -> Rgb:
        assert pair.dtype == np.float32
        assert pair.shape[1] % 4 == pair.shape[2] % 4 == 0
        levels = np.rint(pair * 255).astype(np.int64)
        corners = np.repeat(np.repeat(levels[:, ::4, ::4], 4, 1), 4, 2)
        sums = ndimage.convolve(corners, np.ones((1, 11, 11), np.int64), mode="constant") // 121
        return np.stack([sums[0], sums[1], levels[0]], axis=-1).astype(np.uint8)


def test_the_result_is_the_formula_on_the_normalised_channels(slide: Slide, tmp_path: Path) -> None:
    whole = Region(0, 0, *slide.size)
    result = stained(slide, tmp_path / "a.ome.tif", model="gareau")
    inside = slide.tissue.coverage(whole) == 1
    assert 0.2 < inside.mean() < 1
    np.testing.assert_array_equal(result[inside], gareau(slide.read(whole))[inside])


def test_glass_is_white_and_is_not_computed(slide: Slide, tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def watched(pair: Pair) -> Rgb:
        seen.append(pair.shape)
        return np.zeros((*pair.shape[1:], 3), np.uint8)

    result = stained(slide, tmp_path / "a.ome.tif", model=linear_stain("black", watched, ""), tile=256)
    coverage = slide.tissue.coverage(Region(0, 0, *slide.size))
    assert (result[coverage == 0] == 255).all()
    assert (result[coverage == 1] == 0).all()
    empty = [not slide.tissue.touches(Region(x, y, 256, 256)) for y in (0, 256, 512) for x in (0, 256, 512)]
    assert len(seen) == len(empty) - sum(empty)


@pytest.mark.parametrize("model", ["gareau", "beer-lambert", Neighbourhood()], ids=str)
def test_pixels_do_not_depend_on_the_tile_size(slide: Slide, tmp_path: Path, model: object) -> None:
    first, *others = (
        stained(slide, tmp_path / f"{tile}.ome.tif", model=model, tile=tile) for tile in (256, 512, 1024, 2000)
    )
    assert len(np.unique(first)) > 50
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_a_region_holds_the_pixels_of_the_whole(slide: Slide, tmp_path: Path) -> None:
    whole = stained(slide, tmp_path / "whole.ome.tif", model=Neighbourhood())
    part = stained(slide, tmp_path / "part.ome.tif", model=Neighbourhood(), region=(101, 57, 333, 301), tile=256)
    np.testing.assert_array_equal(part, whole[57 : 57 + 301, 101 : 101 + 333])


@pytest.mark.parametrize("model", ["gareau", Neighbourhood()], ids=str)
def test_arrays_are_stained_like_slides(
    slide: Slide, tmp_path: Path, model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Region(0, 0, *slide.size)
    monkeypatch.setattr("confostain.inference.whole_slide.DEFAULT_TILE", 128)
    array = confostain.stain(slide.read(whole), model=model)  # type: ignore[arg-type]
    inside = slide.tissue.coverage(whole) == 1
    result = stained(slide, tmp_path / "a.ome.tif", model=model)
    np.testing.assert_array_equal(array[inside], result[inside])


def test_provenance_and_scale_are_written(slide: Slide, tmp_path: Path) -> None:
    confostain.stain_slide(slide, tmp_path / "a.ome.tif", model=Neighbourhood(), region=(0, 0, 300, 300))
    xml = tifffile.tiffcomment(tmp_path / "a.ome.tif")
    for words in (
        f"confostain {confostain.__version__}",
        "digitally stained: neighbourhood",
        "abc123",
        "For Research Use Only. Not for use in diagnostic procedures.",
        f"{slide.ranges[1].dark:g} to {slide.ranges[1].bright:g}",
        'PhysicalSizeX="0.75"',
    ):
        assert words in xml


def test_pictures_and_zarr_hold_the_same_pixels(slide: Slide, tmp_path: Path) -> None:
    import zarr
    from PIL import Image

    expected = stained(slide, tmp_path / "a.ome.tif")
    confostain.stain_slide(slide, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)
        assert picture.info["dpi"][0] == pytest.approx(25_400 / 0.75, rel=1e-3)
        assert picture.info["label"] == "digitally stained: swift"
    confostain.stain_slide(slide, tmp_path / "a.ome.zarr", tile=256)
    channels = zarr.open_array(tmp_path / "a.ome.zarr" / "0", mode="r")[:]
    np.testing.assert_array_equal(np.moveaxis(np.asarray(channels), 0, 2), expected)


def test_progress_ends_at_all_pixels(slide: Slide, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    confostain.stain_slide(slide, tmp_path / "a.png", tile=256, progress=lambda *call: calls.append(call))
    assert calls[0] == (0, 700 * 523)
    assert calls[-1] == (700 * 523, 700 * 523)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


@dataclass
class Failing:
    """Works for two tiles, then raises."""

    error: BaseException
    name: str = "failing"
    stride: int = 1
    receptive_field: int = 1
    weights_sha256: str | None = None
    tiles: int = field(default=0)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, pair: Pair) -> Rgb:
        with self.lock:
            self.tiles += 1
            if self.tiles > 2:
                raise self.error
        return np.zeros((*pair.shape[1:], 3), np.uint8)


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".dcm", ".png"])
@pytest.mark.parametrize("error", [SlideError("damaged"), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_whatever_goes_wrong_leaves_nothing_behind(
    slide: Slide, tmp_path: Path, suffix: str, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        confostain.stain_slide(slide, tmp_path / f"a{suffix}", model=Failing(error), tile=256)
    assert list(tmp_path.iterdir()) == []
    assert [one for one in threading.enumerate() if one.name.startswith("confostain")] == []


def test_arrays_are_stained_in_the_threads_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confostain.inference.whole_slide.DEFAULT_TILE", 16)
    names: set[str] = set()

    def watched(pair: Pair) -> Rgb:
        names.add(threading.current_thread().name)
        return np.zeros((*pair.shape[1:], 3), np.uint8)

    confostain.stain(np.zeros((2, 64, 64)), model=linear_stain("watched", watched, ""))
    assert names
    assert all(name.startswith("confostain-tiles") for name in names)


def test_arrays_are_stained_by_the_model_in_a_folder(make_stainer: Callable[..., Path]) -> None:
    folder = make_stainer()
    pair = np.random.default_rng(0).random((2, 40, 50), np.float32)
    np.testing.assert_array_equal(confostain.stain(pair, folder, "cpu"), confostain.stain(pair, str(folder), "cpu"))


def test_what_was_written_is_returned(slide: Slide, tmp_path: Path) -> None:
    for suffix, levels in ((".ome.tif", 3), (".ome.zarr", 3), (".dcm", 3), (".png", 1)):
        out = tmp_path / f"a{suffix}"
        written = confostain.stain_slide(slide, str(out), model="gareau")
        assert (written.path, written.size, written.levels) == (out, Size(700, 523), levels)
        assert (written.microns_per_pixel, written.model) == (pytest.approx(0.75), "gareau")
        assert written.seconds > 0
    part = confostain.stain_slide(slide, tmp_path / "b.ome.tif", model="gareau", region=(10, 20, 300, 200))
    assert (part.size, part.levels) == (Size(300, 200), 2)


def test_a_pixel_size_far_from_the_training_is_said(slide: Slide, tmp_path: Path) -> None:
    pair = np.zeros((2, 8, 8))
    swift = replace(load_model("swift-hq", "cpu"), network=lambda image: np.zeros((*image.shape[1:], 3), np.uint8))
    for near in (None, 0.75, 0.5, 1.125):
        confostain.stain(pair, swift, microns_per_pixel=near)
    for far in (0.49, 1.2):
        with pytest.warns(ConfostainWarning, match=f"pixel size {far} um: model swift-hq was trained at 0.75 um"):
            confostain.stain(pair, swift, microns_per_pixel=far)
    for impossible in (0.0, -1, 21, float("nan")):
        with pytest.raises(OptionError, match=r"expected 0.05 to 20"):
            confostain.stain(pair, "gareau", microns_per_pixel=impossible)
    slide.microns_per_pixel = 2.0
    with pytest.warns(ConfostainWarning, match="pixel size 2 um"):
        confostain.stain_slide(slide, tmp_path / "a.png", model=swift)
    confostain.stain_slide(slide, tmp_path / "b.png", model="gareau")  # a closed form has no pixel size


def test_what_cannot_be_done_is_said(slide: Slide, tmp_path: Path) -> None:
    out = tmp_path / "a.ome.tif"
    with pytest.raises(ModelError, match=r"no model is called 'h&e'.*gareau, beer-lambert"):
        confostain.stain_slide(slide, out, model="h&e")
    with pytest.raises(OptionError, match=r"region 600,0,200,100: .*inside the slide, which is 700 x 523"):
        confostain.stain_slide(slide, out, region=(600, 0, 200, 100))
    with pytest.raises(OptionError, match="tile of 0 px"):
        confostain.stain_slide(slide, out, tile=0)
    with pytest.raises(OptionError, match="JPEG quality 101"):
        confostain.stain_slide(slide, out, quality=101)
    with pytest.raises(OptionError, match="runs on the CPU"):
        confostain.stain_slide(slide, out, model="gareau", device="cuda")
    with pytest.raises(OutputError, match=r"use .ome.tif, .ome.zarr, .dcm or .png"):
        confostain.stain_slide(slide, tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((10, 10), np.float32), r"shape \(10, 10\): expected \(2, height, width\)"),
        (np.zeros((2, 0, 10), np.float32), "expected"),
        (np.full((2, 4, 4), 300.0), "values from 300 to 300"),
        (np.full((2, 4, 4), np.nan), "values from nan"),
    ],
)
def test_arrays_that_are_no_pair_are_refused(array: npt.NDArray[np.float32], message: str) -> None:
    with pytest.raises(SlideError, match=message):
        confostain.stain(array)


def test_a_result_never_takes_the_place_of_its_slide(phantom_scan: Path, tmp_path: Path) -> None:
    scan = shutil.copytree(phantom_scan, tmp_path / "scan.ome.zarr")  # a name that suits a result, to tempt it
    raw = {path: path.read_bytes() for path in scan.rglob("*.tif")}
    link = tmp_path / "link.tif"
    link.symlink_to(scan / "DET#1" / "highres_raw.tif")
    with open_slide(scan) as slide:
        for out in (scan, scan / "DET#2" / "highres_raw.tif", link):
            with pytest.raises(OutputError, match="belongs to the slide"):
                confostain.stain_slide(slide, out, overwrite=True)
        confostain.stain_slide(slide, scan / "stained.ome.tif")
    assert all(path.read_bytes() == pixels for path, pixels in raw.items())
