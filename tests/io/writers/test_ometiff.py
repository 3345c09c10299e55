import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pytest
import pyvips
import tifffile
from PIL import ImageCms

from confostain.errors import OptionError, OutputError
from confostain.geometry import Size
from confostain.inference.tiling import TileGrid
from confostain.io.writers.ometiff import OmeTiffWriter, PlainTiffWriter
from confostain.io.writers.output import ResultImage
from confostain.io.writers.pyramid import PyramidTop, cut_block

Rgb = npt.NDArray[np.uint8]
PROVENANCE = {"note": "a < b & c.", "software": "confostain 1.2.3", "model": "gareau"}


def smooth_colours(width: int, height: int) -> Rgb:
    y, x = np.mgrid[:height, :width] / 97.0
    waves = [np.sin(x + y), np.cos(x - 2 * y), np.sin(x * 0.3)]
    return np.stack([127 + 120 * wave for wave in waves], axis=-1).astype(np.uint8)


def write(path: Path, rgb: Rgb, quality: int | None = None, overwrite: bool = False) -> Path:
    size = Size(rgb.shape[1], rgb.shape[0])
    image = ResultImage(size, 0.75, "painted, digitally stained", PROVENANCE, quality)
    with OmeTiffWriter(path, image, overwrite) as writer:
        fill(writer, rgb)
        writer.complete()
    return path


def fill(writer: OmeTiffWriter, rgb: Rgb) -> None:
    size, top = writer.image.size, PyramidTop(writer.image.size)
    for place in TileGrid(size.region, 512):
        block = rgb[place.level0_core.slices_in(size.region)]
        whole = None if (block == 255).all() else block
        cut = cut_block(whole, place.level0_core.size, place.column * 2, place.row * 2)
        for tile in [*cut.tiles, *top.add(cut)]:
            writer.append(tile, writer.encode(tile))


@pytest.fixture(scope="module")
def colours() -> Rgb:
    rgb = smooth_colours(1301, 777)
    rgb[:, 1024:] = 255
    return rgb


@pytest.fixture(scope="module")
def levels(colours: Rgb, mean_of_level: Callable[[Rgb, int], Rgb]) -> list[Rgb]:
    return [mean_of_level(colours, level) for level in range(4)]


@pytest.fixture(scope="module")
def lossless(colours: Rgb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lossless") / "a.ome.tif", colours)


@pytest.fixture(scope="module")
def jpeg(colours: Rgb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("jpeg") / "a.ome.tif", colours, quality=90)


def levels_by_tifffile(path: Path) -> list[Rgb]:
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert len(tiff.series) == 1
        return [level.asarray() for level in tiff.series[0].levels]


def levels_by_openslide(path: Path) -> list[Rgb]:
    with openslide.OpenSlide(path) as slide:
        sizes = slide.level_dimensions
        return [np.asarray(slide.read_region((0, 0), level, size).convert("RGB")) for level, size in enumerate(sizes)]


def levels_by_libvips(path: Path) -> list[Rgb]:
    first = pyvips.Image.new_from_file(str(path))
    others = [pyvips.Image.new_from_file(str(path), subifd=n) for n in range(first.get("n-subifds"))]
    return [image.numpy() for image in (first, *others)]


@pytest.mark.parametrize("reader", [levels_by_tifffile, levels_by_openslide, levels_by_libvips])
def test_every_reader_sees_every_level(
    reader: Callable[[Path], list[Rgb]], lossless: Path, jpeg: Path, levels: list[Rgb]
) -> None:
    seen = reader(lossless)
    assert len(seen) == len(levels) == 4
    for one, other in zip(seen, levels, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(reader(jpeg), levels, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 1.5


def test_openslide_knows_the_scale_and_the_colour_profile(jpeg: Path) -> None:
    with openslide.OpenSlide(jpeg) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.75)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.75)
        assert slide.color_profile is not None
        assert "sRGB" in ImageCms.getProfileDescription(slide.color_profile)


def test_the_ome_metadata_are_valid_and_complete(jpeg: Path) -> None:
    from ome_types import from_xml, validate_xml

    xml = tifffile.tiffcomment(jpeg)
    validate_xml(xml)
    ome = from_xml(xml)
    pixels = ome.images[0].pixels
    assert (pixels.size_x, pixels.size_y, pixels.size_c) == (1301, 777, 3)
    assert pixels.physical_size_x == pixels.physical_size_y == 0.75
    assert pixels.physical_size_x_unit.value == "µm"
    assert pixels.channels[0].name == "digitally stained RGB"
    assert dict(ome.structured_annotations[0].value) == PROVENANCE
    assert ome.images[0].description == "note: a < b & c. software: confostain 1.2.3. model: gareau."


def test_a_single_tile_has_a_single_level(tmp_path: Path) -> None:
    rgb = smooth_colours(100, 37)
    path = write(tmp_path / "small.ome.tif", rgb)
    for reader in (levels_by_tifffile, levels_by_openslide):
        (level,) = reader(path)
        np.testing.assert_array_equal(level, rgb)


def test_a_large_result_becomes_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confostain.io.writers.ometiff.CLASSIC_TIFF_LIMIT", 1000)
    rgb = smooth_colours(600, 300)
    path = write(tmp_path / "big.ome.tif", rgb)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
    for reader in (levels_by_tifffile, levels_by_openslide, levels_by_libvips):
        np.testing.assert_array_equal(reader(path)[0], rgb)


def picture_data(path: Path) -> list[tuple[bytes, ...]]:
    """The encoded tiles of each level, and its colour profile."""
    with tifffile.TiffFile(path) as tiff:
        pages = [level.keyframe for level in tiff.series[0].levels]
        places = [zip(page.dataoffsets, page.databytecounts, strict=True) for page in pages]
        data = path.read_bytes()
        return [
            (page.iccprofile, *(data[offset : offset + length] for offset, length in tiles))
            for page, tiles in zip(pages, places, strict=True)
        ]


def test_the_same_pixels_give_the_same_picture_data(colours: Rgb, lossless: Path, jpeg: Path, tmp_path: Path) -> None:
    again = picture_data(write(tmp_path / "again.ome.tif", colours))
    assert [len(level) for level in again] == [1 + 6 * 4, 1 + 3 * 2, 1 + 2, 1 + 1]
    assert again == picture_data(lossless)
    assert again != picture_data(jpeg)
    assert picture_data(write(tmp_path / "again.jpeg.ome.tif", colours, quality=90)) == picture_data(jpeg)


@pytest.mark.parametrize("quality", [90, None])
def test_white_costs_next_to_nothing(quality: int | None, tmp_path: Path) -> None:
    white = np.full((4096, 4096, 3), 255, np.uint8)
    blank = write(tmp_path / "blank.ome.tif", white, quality)
    assert (levels_by_tifffile(blank)[0] == 255).all()
    assert blank.stat().st_size < 0.02 * white.nbytes


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write(path, smooth_colours(10, 10))
    assert path.read_text() == "precious"
    write(path, smooth_colours(10, 10), overwrite=True)
    assert levels_by_tifffile(path)[0].shape == (10, 10, 3)


def test_a_missing_tile_leaves_no_file(tmp_path: Path) -> None:
    image = ResultImage(Size(600, 600), 0.75, "incomplete")
    with (
        OmeTiffWriter(tmp_path / "a.ome.tif", image) as writer,
        pytest.raises(OutputError, match="is missing; expected all tiles"),
    ):
        writer.complete()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        OmeTiffWriter(tmp_path / "nowhere" / "a.ome.tif", ResultImage(Size(1, 1), 0.75, ""))
    with pytest.raises(OutputError, match="--mpp"):
        OmeTiffWriter(tmp_path / "a.ome.tif", ResultImage(Size(1, 1), None, ""))
    with pytest.raises(OptionError, match="1 to 100"):
        ResultImage(Size(1, 1), 0.75, "", quality=0)


GREY_DTYPES = [np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)]


def grey(dtype: np.dtype[np.generic], width: int = 700, height: int = 523) -> npt.NDArray[np.generic]:
    smooth = smooth_colours(width, height)[..., 0].astype(np.float64) / 255
    return (smooth * (np.iinfo(dtype).max if dtype.kind == "u" else 3.7)).astype(dtype)


def write_grey(
    writer_class: type[OmeTiffWriter] | type[PlainTiffWriter],
    path: Path,
    plane: npt.NDArray[np.generic],
    scale: float | None,
) -> None:
    size = Size(plane.shape[1], plane.shape[0])
    image = ResultImage(size, scale, "grey", PROVENANCE, None, plane.dtype, 1, "despeckled reflectance")
    with writer_class(path, image) as writer:
        top = PyramidTop(size, plane.dtype, 1)
        for place in TileGrid(size.region, 256):
            block = plane[place.level0_core.slices_in(size.region)][..., np.newaxis]
            cut = cut_block(block, place.level0_core.size, place.column, place.row)
            for tile in [*cut.tiles, *top.add(cut)]:
                if tile.level < writer.levels:
                    writer.append(tile, writer.encode(tile))
        writer.complete()


@pytest.mark.parametrize("dtype", GREY_DTYPES, ids=str)
def test_grey_planes_have_a_pyramid_of_area_means(dtype: np.dtype[np.generic], tmp_path: Path) -> None:
    plane = grey(dtype)
    write_grey(OmeTiffWriter, tmp_path / "a.ome.tif", plane, 0.75)
    first, second, third = levels_by_tifffile(tmp_path / "a.ome.tif")
    assert first.dtype == second.dtype == dtype
    np.testing.assert_array_equal(first, plane)
    assert third.shape == (131, 175)
    mean = plane[:522, :700].reshape(261, 2, 350, 2).mean(axis=(1, 3), dtype=np.float64)
    if dtype.kind == "u":
        np.testing.assert_array_equal(second[:261], np.floor(mean + 0.5))
    else:
        np.testing.assert_allclose(second[:261], mean, rtol=1e-6)
    np.testing.assert_array_equal(levels_by_libvips(tmp_path / "a.ome.tif")[0], plane)


@pytest.mark.parametrize("dtype", GREY_DTYPES, ids=str)
def test_a_plain_tiff_has_one_page_with_provenance_and_scale(dtype: np.dtype[np.generic], tmp_path: Path) -> None:
    plane, path = grey(dtype), tmp_path / "a.tif"
    write_grey(PlainTiffWriter, path, plane, 0.75)
    with tifffile.TiffFile(path) as tiff:
        assert not tiff.is_ome
        (page,) = tiff.pages
        np.testing.assert_array_equal(page.asarray(), plane)
        assert page.tilewidth == 256
        assert page.software == PROVENANCE["software"]
        assert json.loads(page.description) == {"name": "grey", **PROVENANCE}
    image = pyvips.Image.new_from_file(str(path))
    np.testing.assert_array_equal(image.numpy(), plane)
    assert 1e3 / image.xres == pytest.approx(0.75)


@pytest.mark.parametrize("writer_class", [OmeTiffWriter, PlainTiffWriter])
def test_grey_planes_need_no_pixel_size(
    writer_class: type[OmeTiffWriter] | type[PlainTiffWriter], tmp_path: Path
) -> None:
    from ome_types import validate_xml

    path = tmp_path / "a.ome.tif"
    write_grey(writer_class, path, grey(GREY_DTYPES[0]), None)
    if writer_class is OmeTiffWriter:
        validate_xml(tifffile.tiffcomment(path))
        assert "PhysicalSizeX" not in tifffile.tiffcomment(path)
    with tifffile.TiffFile(path) as tiff:
        assert int(tiff.pages[0].resolutionunit) == 1  # none
