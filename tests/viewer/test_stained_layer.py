"""What a tile shows: the pixels of `confostain stain`, at every level."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from confostain.geometry import Region, Size
from confostain.imaging.linear_stain import gareau
from confostain.imaging.tissue import TissueMask
from confostain.inference.stain import stain_slide
from confostain.io.writers.pyramid import TILE, level_sizes
from confostain.models.card import ModelCard
from confostain.models.stainer import LINEAR_STAINS, Model
from confostain.slide import Slide, open_slide
from confostain.viewer.block_store import BlockStore
from confostain.viewer.layer import LayerInfo, TileIndex
from confostain.viewer.preview import Preview
from confostain.viewer.stained_layer import BLOCK, MEAN_LEVEL, StainedLayer, _without_tissue


@dataclass(frozen=True)
class Network:
    """Behaves like a network: each pixel depends on a neighbourhood, on an aligned grid."""

    name: str = "blur"
    stride: int = 4
    receptive_field: int = 17
    weights_sha256: str | None = "0" * 64

    def __call__(self, pair: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        r, f = pair
        shifted = np.roll(r, (8, -8), (0, 1)) * np.float32(0.5) + r * np.float32(0.5)
        rgb = np.stack([1 - 0.7 * f, 1 - np.maximum(0.5 * shifted, 0.6 * f), 1 - 0.2 * shifted], axis=-1)
        return np.rint(rgb * 255).astype(np.uint8)


@dataclass(frozen=True)
class ScaledNetwork(Network):
    """The same with a card that names pixel sizes."""

    card: ModelCard | None = None


def unscaled(path: Path, copy: Path) -> Path:
    """A copy of a plane without its pixel size."""
    tifffile.imwrite(copy, tifffile.imread(path))
    return copy


@pytest.fixture
def store() -> Iterator[BlockStore]:
    store = BlockStore()
    yield store
    store.close()


def layer_of(slide: Slide, model: Model, store: BlockStore, reduction: int = 1) -> StainedLayer:
    closed_form = model.receptive_field == 1
    info = LayerInfo(model.name, "", "", "stain", closed_form)
    preview = Preview(slide, model if closed_form else gareau, tissue_only=True)
    return StainedLayer(info, slide, lambda: model, preview, store, reduction)


def tiles(slide: Slide, level: int) -> Iterator[TileIndex]:
    size = level_sizes(Size(*slide.size))[level]
    columns, rows = -(-size.width // TILE), -(-size.height // TILE)
    return (TileIndex(level, column, row) for row, column in product(range(rows), range(columns)))


def joined(layer: StainedLayer, slide: Slide, level: int) -> np.ndarray:
    size = level_sizes(Size(*slide.size))[level]
    whole = np.zeros((size.height, size.width, 3), np.uint8)
    for tile in tiles(slide, level):
        rgb, source = layer.render(tile)
        assert source != "closed-form" or (level == 0 and layer.info.closed_form)
        y, x = tile.row * TILE, tile.column * TILE
        assert rgb.shape == whole[y : y + TILE, x : x + TILE].shape
        whole[y : y + TILE, x : x + TILE] = rgb
    return whole


def stain_all(layer: StainedLayer) -> None:
    while (work := layer.next_background_work((0, 0))) is not None:
        work()


@pytest.mark.parametrize("model", [Network(), LINEAR_STAINS[0]], ids=["network", "closed form"])
def test_tiles_are_the_pixels_of_the_stained_file(
    large_slide: Slide, model: Model, store: BlockStore, tmp_path: Path
) -> None:
    stain_slide(large_slide, tmp_path / "stained.ome.tif", model=model, quality=None)
    layer = layer_of(large_slide, model, store)
    stain_all(layer)
    with tifffile.TiffFile(tmp_path / "stained.ome.tif") as tiff:
        levels = tiff.series[0].levels
        assert len(levels) == len(level_sizes(Size(*large_slide.size))) > MEAN_LEVEL + 1
        for level, stored in enumerate(levels):
            np.testing.assert_array_equal(joined(layer, large_slide, level), stored.asarray())


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_reduced_slide_shows_the_pixels_of_its_file_in_their_blocks(
    large_scan: tuple[Path, Path], factor: int, store: BlockStore, tmp_path: Path
) -> None:
    card = ModelCard(kind="stainer", input="pair", stride=4, receptive_field=17, microns_per_pixel=(0.4, 1.0))
    model, scale = ScaledNetwork(card=card), 0.41 / factor
    reflectance, fluorescence = (unscaled(path, tmp_path / path.name) for path in large_scan)
    with open_slide(reflectance=reflectance, fluorescence=fluorescence, microns_per_pixel=scale) as slide:
        written = stain_slide(slide, tmp_path / "stained.ome.tif", model=model, quality=None)
        assert written.reduction == factor
        layer = layer_of(slide, model, store, factor)
        stain_all(layer)
        shown = joined(layer, slide, 0)
        blocks = np.asarray(tifffile.imread(tmp_path / "stained.ome.tif"))
        width, height = slide.size
        np.testing.assert_array_equal(shown, blocks.repeat(factor, 0).repeat(factor, 1)[:height, :width])
        if factor == 2:
            np.testing.assert_array_equal(joined(layer, slide, 1), blocks)


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 7])
def test_only_blocks_that_no_tissue_reaches_are_blank(factor: int) -> None:
    size = Size(4 * BLOCK + 9, BLOCK)
    cells = np.zeros((-(-size.height // 16), -(-size.width // 16)), bool)
    cells[:, BLOCK // 16 + 1] = True  # its coverage ends at the right edge of the first block
    cells[:, 3 * BLOCK // 16 - 2] = True  # and of this one at the left edge of the fourth
    tissue = TissueMask(cells, 16, size)
    blank = _without_tissue(tissue, factor)
    for column in range(5):
        block = Region(column * BLOCK, 0, BLOCK, BLOCK).intersection(size.region)
        met = block.reduced(factor).enlarged(factor).intersection(size.region)
        assert not blank[0, column] or not tissue.coverage(met).any()
    assert blank[0, 4]


GAP = slice(300, 331), slice(400, 433)


@pytest.mark.parametrize(("scale", "factor"), [(0.75, 1), (0.2, 2), (0.15, 3)])
def test_what_was_not_scanned_is_white_as_in_the_file(
    unscaled_planes: tuple[Path, Path], scale: float, factor: int, store: BlockStore, tmp_path: Path
) -> None:
    paths = tmp_path / "reflectance.tif", tmp_path / "fluorescence.tif"
    for source, path in zip(unscaled_planes, paths, strict=True):
        plane = tifffile.imread(source).astype(np.float32)
        plane[GAP] = np.nan
        tifffile.imwrite(path, plane)
    model = Network()
    with open_slide(reflectance=paths[0], fluorescence=paths[1], microns_per_pixel=scale) as slide:
        card = ModelCard(kind="stainer", input="pair", stride=4, receptive_field=17, microns_per_pixel=(0.4, 1.0))
        stain_slide(slide, tmp_path / "a.ome.tif", model=ScaledNetwork(card=card), quality=None)
        blocks = np.asarray(tifffile.imread(tmp_path / "a.ome.tif"))
        shown = joined(layer_of(slide, model, store, factor), slide, 0)
    assert (shown[GAP] == 255).all()
    np.testing.assert_array_equal(shown, blocks.repeat(factor, 0).repeat(factor, 1)[:523, :700])


def test_a_network_is_not_asked_for_an_overview(large_slide: Slide, store: BlockStore) -> None:
    def load() -> Model:
        raise AssertionError("loaded")

    info = LayerInfo("slow", "", "", "stain", closed_form=False)
    layer = StainedLayer(info, large_slide, load, Preview(large_slide, gareau, tissue_only=True), store)
    for level in (2, 3, 4, 5):
        for tile in tiles(large_slide, level):
            rgb, source = layer.render(tile)
            expected = "average" if (rgb == 255).all() else "closed-form"  # glass needs no network
            assert source == expected, tile
    assert layer.final_fractions()[0] == 1
    assert layer.final_fractions()[2] < 0.5


def test_previews_take_on_the_colours_of_what_was_stained(large_slide: Slide, store: BlockStore) -> None:
    layer, top = layer_of(large_slide, Network(), store), TileIndex(5, 0, 0)
    before = layer.render(top)[0].astype(float)
    version = layer.version(top)
    for _ in range(8):
        work = layer.next_background_work((0, 0))
        assert work is not None
        work()
    learnt, source = layer.render(top)
    assert source == "closed-form"
    assert layer.version(top) != version
    stain_all(layer)
    truth, source = layer.render(top)
    assert source == "average"
    assert np.abs(learnt - truth.astype(float)).mean() < 0.3 * np.abs(before - truth).mean()


def test_what_is_nearest_is_stained_first(large_slide: Slide, store: BlockStore) -> None:
    layer = layer_of(large_slide, Network(), store)
    region = TileIndex(1, 7, 1).level0_region(Size(*large_slide.size))
    work = layer.next_background_work((region.x + BLOCK / 2, region.y + BLOCK / 2))
    assert work is not None
    work()
    assert (id(layer), 1, 7) in store
    assert store.bytes == BLOCK * BLOCK * 3


def test_dropped_blocks_are_stained_again_when_somebody_looks(large_slide: Slide) -> None:
    store = BlockStore(limit=5 * BLOCK * BLOCK * 3)
    layer = layer_of(large_slide, Network(), store)
    stain_all(layer)
    tile = TileIndex(2, 0, 0)
    assert layer.render(tile)[1] == "closed-form"
    stain_all(layer)
    assert layer.render(tile)[1] == "average"
    assert store.bytes <= 5 * BLOCK * BLOCK * 3
    store.close()


@dataclass(frozen=True)
class Pale(Network):
    """A network whose tissue is far from the closed form: the correction that a preview learns is large."""

    def __call__(self, pair: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        covered = 1 - np.exp(-8 * pair.sum(axis=0))
        return np.rint(255 - covered[..., np.newaxis] * np.array([10, 120, 90])).astype(np.uint8)


@pytest.mark.parametrize("level", [2, 3, 4, 5])
@pytest.mark.parametrize("stained", [1, 2, 4, 8])
def test_glass_is_white_in_every_preview(large_slide: Slide, store: BlockStore, stained: int, level: int) -> None:
    layer = layer_of(large_slide, Pale(), store)
    for _ in range(stained):
        work = layer.next_background_work((0, 0))
        assert work is not None
        work()
    region = Region(0, 0, 4096, 1024)
    glass = (large_slide.read_reduced(region, 4) < 0.005).all(axis=0)
    step = 1 << (level - 2)
    height, width = (side // step for side in glass.shape)
    glass = glass[: height * step, : width * step].reshape(height, step, width, step).all((1, 3))
    shown = layer._preview.render(region, 1 << level)[:height, :width]
    assert glass.mean() > 0.1
    assert shown[glass].min() > 240
    assert shown[~glass][:, 1].mean() < 220


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_previews_of_closed_forms_come_near_the_truth(large_slide: Slide, store: BlockStore, level: int) -> None:
    preview = Preview(large_slide, gareau, tissue_only=True)
    layer = layer_of(large_slide, LINEAR_STAINS[0], store)
    stain_all(layer)
    for tile in tiles(large_slide, level):
        region = tile.level0_region(Size(*large_slide.size))
        quick, truth = preview.render(region, 1 << level), layer.render(tile)[0]
        assert quick.shape == truth.shape
        assert np.abs(quick.astype(float) - truth).mean() < 8, tile
