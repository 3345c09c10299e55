"""A slide that is finer than what a network was trained for: stained as if it had been scanned coarser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

import confostain
from confostain.errors import ConfostainWarning, OptionError
from confostain.geometry import Region, Size
from confostain.imaging.tissue import TissueMask
from confostain.inference.reduced_slide import ReducedSlide, ReducedTissue, reduced
from confostain.inference.result import check_pixel_size, reduction_for
from confostain.io.readers.results import find_result
from confostain.models.card import ModelCard
from confostain.models.stainer import LINEAR_STAINS
from confostain.simulation.phantom import Phantom
from confostain.slide import Slide, open_slide

Pair = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

WIDE = (0.4, 1.0)


def card_of(scales: tuple[float, float] | None, name: str = "scaled") -> ModelCard:
    return ModelCard(
        name=name, kind="stainer", input="pair", stride=4, receptive_field=17, microns_per_pixel=scales, description=""
    )


@dataclass(frozen=True)
class Scaled:
    """Stands for a network with a card: sees a neighbourhood, on a grid of stride 4; `identity` returns its input."""

    card: ModelCard
    identity: bool = False
    stride: int = 4
    receptive_field: int = 17
    weights_sha256: str | None = "0" * 64

    @property
    def name(self) -> str:
        return self.card.name

    def __call__(self, pair: Pair) -> Rgb:
        levels = np.rint(pair * 255).astype(np.uint8)
        if self.identity:
            return np.stack([levels[0], levels[1], levels[0]], axis=-1)
        corners = np.repeat(np.repeat(levels[:, ::4, ::4], 4, 1), 4, 2)
        moved = np.roll(levels, (8, -8), (1, 2))
        return np.stack([moved[0], corners[1], levels[1] // 2 + moved[1] // 2], axis=-1)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A phantom with glass, a gap of NaN and odd sides, 701 x 523 px: whole numbers, whose sums are exact."""
    folder, phantom = tmp_path_factory.mktemp("fine"), Phantom(Size(701, 523), seed=3)
    bands = np.concatenate(list(phantom.recorded_bands()), axis=1).astype(np.float32)
    bands = np.rint(bands * (255 / bands.max(axis=(1, 2), keepdims=True)))
    bands[:, 200:231, 300:333] = np.nan
    paths = folder / "reflectance.tif", folder / "fluorescence.tif"
    for path, plane in zip(paths, bands, strict=True):
        tifffile.imwrite(path, plane)
    return paths


Opened = Callable[[float | None], Slide]


@pytest.fixture
def opened(scan: tuple[Path, Path]) -> Iterator[Opened]:
    """The scan, opened at a pixel size, in shares of a range that is a power of two."""
    slides: list[Slide] = []
    ranges = {"reflectance": (0.0, 256.0), "fluorescence": (0.0, 256.0)}

    def open_at(scale: float | None) -> Slide:
        slide = open_slide(reflectance=scan[0], fluorescence=scan[1], microns_per_pixel=scale, ranges=ranges)
        slides.append(slide)
        return slide

    yield open_at
    for slide in slides:
        slide.close()


def block_means(image: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """The obvious way: float32 (channels, h, w) to means of blocks, incomplete ones over what is there."""
    _, height, width = image.shape
    rows, columns = range(0, height, factor), range(0, width, factor)
    blocks = [[image[:, y : y + factor, x : x + factor].mean(axis=(1, 2), dtype=float) for x in columns] for y in rows]
    return np.moveaxis(np.array(blocks), 2, 0).astype(np.float32)


def stained(slide: Slide, path: Path, model: Scaled, **options: object) -> Rgb:
    confostain.stain_slide(slide, path, model=model, quality=None, **options)  # type: ignore[arg-type]
    return np.asarray(tifffile.imread(path))


# The rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scales", "microns_per_pixel", "factor"),
    [
        (WIDE, 0.75, 1),
        (WIDE, 0.4, 1),
        (WIDE, 0.39999, 1),  # 0.4 as some files round it
        (WIDE, 0.39, 2),
        (WIDE, 0.25, 2),
        (WIDE, 0.2, 2),
        (WIDE, 0.19, 3),
        (WIDE, 0.1, 4),
        (WIDE, 0.05, 8),
        (WIDE, 1.4, 1),
        (WIDE, None, 1),
        ((0.5, 1.0), 0.25, 2),
        ((0.5, 0.99), 0.25, 1),  # less than a factor of two: some slides would miss the range
        ((0.75, 0.75), 0.25, 1),
        (None, 0.1, 1),
    ],
)
def test_the_factor_is_the_smallest_that_reaches_the_range(
    scales: tuple[float, float] | None, microns_per_pixel: float | None, factor: int
) -> None:
    assert reduction_for(Scaled(card_of(scales)), microns_per_pixel) == factor


@given(st.floats(0.05, 20), st.floats(0.1, 5), st.floats(2, 4))
def test_whatever_is_finer_comes_into_the_range(microns_per_pixel: float, low: float, ratio: float) -> None:
    card = card_of((low, low * ratio))
    factor = card.reduction(microns_per_pixel)
    if microns_per_pixel >= low:
        assert factor == 1
    else:
        assert low * 0.998 < factor * microns_per_pixel <= low * ratio
        assert (factor - 1) * microns_per_pixel < low


@pytest.mark.parametrize("model", [*LINEAR_STAINS, object()], ids=["gareau", "beer-lambert", "without a card"])
def test_closed_forms_are_never_reduced(model: object) -> None:
    assert reduction_for(model, 0.05) == 1
    check_pixel_size(model, 20.0)


@pytest.mark.parametrize(
    ("scales", "near", "warned", "refused"),
    [
        (WIDE, (0.4, 0.75, 1.0, 1.1), (0.2, 0.39, 1.11, 1.5), (1.51, 3.0)),
        ((0.3, 2.4), (0.3, 2.64), (0.29, 2.65, 3.6), (3.61, 20.0)),
        ((0.6, 0.9), (0.4, 0.6, 1.35), (0.39, 1.36, 20.0), ()),
        ((0.75, 0.75), (0.5, 1.125), (0.49, 1.2, 20.0), ()),
        (None, (0.05, 20.0), (), ()),
    ],
    ids=str,
)
def test_what_is_outside_the_range_is_warned_of_or_refused(
    scales: tuple[float, float] | None,
    near: tuple[float, ...],
    warned: tuple[float, ...],
    refused: tuple[float, ...],
) -> None:
    model = Scaled(card_of(scales))
    for size in near:
        check_pixel_size(model, size)
    for size in warned:
        with pytest.warns(ConfostainWarning, match=f"pixel size {size:g} um: model scaled was trained at .* um"):
            check_pixel_size(model, size)
    for size in refused:
        with pytest.raises(OptionError, match=rf"pixel size {size:g} um: .* expected at most .* um; scan finer"):
            check_pixel_size(model, size)


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".png"])
def test_a_slide_too_coarse_is_refused_unless_its_pixel_size_is_unknown(
    opened: Opened, tmp_path: Path, suffix: str
) -> None:
    with pytest.raises(OptionError, match=r"pixel size 1.6 um: model scaled was trained at 0.4 to 1 um"):
        confostain.stain_slide(opened(1.6), tmp_path / f"a{suffix}", model=Scaled(card_of(WIDE)))
    assert list(tmp_path.iterdir()) == []
    written = confostain.stain_slide(opened(None), tmp_path / "b.png", model=Scaled(card_of(WIDE)))
    assert (written.size, written.microns_per_pixel, written.reduction) == (Size(701, 523), None, 1)


# The pixels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("microns_per_pixel", "factor"), [(0.2, 2), (0.15, 3), (0.1, 4), (0.06, 7)])
def test_the_result_is_the_model_on_the_area_means_of_the_slide(
    opened: Opened, tmp_path: Path, microns_per_pixel: float, factor: int
) -> None:
    slide, whole = opened(microns_per_pixel), Region(0, 0, 701, 523)
    means = block_means(slide.read(whole), factor)
    coverage = block_means(slide.tissue.coverage(whole)[np.newaxis], factor)[0]
    missing = slide.not_scanned(whole)
    assert missing is not None
    gaps = block_means(missing[np.newaxis].astype(np.float32), factor)[0] > 0
    result = stained(slide, tmp_path / "a.ome.tif", Scaled(card_of(WIDE), identity=True))
    inside = (coverage == 1) & ~gaps
    assert result.shape == (-(-523 // factor), -(-701 // factor), 3)
    assert 0.2 < inside.mean() < 0.99
    np.testing.assert_array_equal(result[inside][:, :2], np.rint(means * 255)[:, inside].T)
    assert (result[gaps] == 255).all()
    assert (result[coverage == 0] == 255).all()


@pytest.mark.parametrize(("microns_per_pixel", "factor"), [(0.2, 2), (0.15, 3), (0.07, 6)])
def test_the_result_is_that_of_the_reduced_array(
    opened: Opened, tmp_path: Path, microns_per_pixel: float, factor: int
) -> None:
    slide, model = opened(microns_per_pixel), Scaled(card_of(WIDE))
    view = ReducedSlide(slide, factor)
    array = confostain.stain(view.read(view.size.region), model=model)  # type: ignore[arg-type]
    result = stained(slide, tmp_path / "a.ome.tif", model)
    inside = view.tissue.coverage(view.size.region) == 1
    missing = view.not_scanned(view.size.region)
    assert missing is not None
    np.testing.assert_array_equal(result[inside & ~missing], array[inside & ~missing])


@pytest.mark.parametrize("microns_per_pixel", [0.2, 0.15, 0.05])
def test_pixels_do_not_depend_on_the_tile_size_or_the_rows_read_at_a_time(
    opened: Opened, tmp_path: Path, microns_per_pixel: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Scaled(card_of(WIDE))
    slide = opened(microns_per_pixel)
    first, *others = (stained(slide, tmp_path / f"{tile}.ome.tif", model, tile=tile) for tile in (256, 512, 1024))
    monkeypatch.setattr("confostain.inference.reduced_slide.STRIP", 40)
    others.append(stained(slide, tmp_path / "strips.ome.tif", model, tile=256))
    assert len(np.unique(first)) > 50
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("region", "blocks"),
    [
        ((101, 57, 333, 301), (33, 19, 112, 101)),
        ((0, 0, 701, 523), (0, 0, 234, 175)),
        ((699, 520, 2, 3), (233, 173, 1, 2)),
        ((5, 7, 1, 1), (1, 2, 1, 1)),
    ],
)
def test_a_region_grows_to_whole_blocks_and_holds_the_pixels_of_the_whole(
    opened: Opened, tmp_path: Path, region: tuple[int, int, int, int], blocks: tuple[int, int, int, int]
) -> None:
    slide, model = opened(0.15), Scaled(card_of(WIDE))
    whole = stained(slide, tmp_path / "whole.ome.tif", model)
    part = stained(slide, tmp_path / "part.ome.tif", model, region=region, tile=256)
    np.testing.assert_array_equal(part, whole[Region(*blocks).slices_in(Size(234, 175).region)])


# The view ---------------------------------------------------------------------------------------------------------


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 60), st.integers(1, 60), st.integers(1, 9))
def test_blocks_cover_a_rectangle_and_no_block_more(x: int, y: int, width: int, height: int, factor: int) -> None:
    region = Region(x, y, width, height)
    blocks = region.reduced(factor)
    cover = blocks.enlarged(factor)
    assert cover.intersection(region) == region
    assert blocks.enlarged(factor).reduced(factor) == blocks
    for side in (region.x - cover.x, region.y - cover.y, cover.right - region.right, cover.bottom - region.bottom):
        assert 0 <= side < factor


@given(st.data())
def test_any_region_of_the_tissue_is_asked_as_the_whole(data: st.DataObject) -> None:
    rng, factor = np.random.default_rng(data.draw(st.integers(0, 9))), data.draw(st.integers(2, 9))
    size = Size(data.draw(st.integers(17, 90)), data.draw(st.integers(17, 90)))
    cells = rng.random((-(-size.height // 16), -(-size.width // 16))) < 0.4
    mask = TissueMask(cells, 16, size)
    tissue, whole = ReducedTissue(mask, factor), size.region.reduced(factor)
    expected = block_means(mask.coverage(size.region)[np.newaxis], factor)[0]
    x, y = data.draw(st.integers(0, whole.width - 1)), data.draw(st.integers(0, whole.height - 1))
    region = Region(x, y, data.draw(st.integers(1, whole.width - x)), data.draw(st.integers(1, whole.height - y)))
    part = expected[region.slices_in(whole)]
    np.testing.assert_allclose(tissue.coverage(region), part, atol=1e-6)
    assert tissue.fills(region) == bool((part == 1).all())
    assert tissue.touches(region) or not part.any()


@pytest.mark.parametrize(("factor", "size"), [(2, (351, 262)), (3, (234, 175)), (8, (88, 66))])
def test_the_view_says_its_size_and_scale(opened: Opened, factor: int, size: tuple[int, int]) -> None:
    view = reduced(opened(0.1), factor)
    assert view.size == size
    assert view.microns_per_pixel == pytest.approx(0.1 * factor)
    assert reduced(opened(None), factor).microns_per_pixel is None


def test_a_factor_of_one_is_the_slide_itself(opened: Opened) -> None:
    slide = opened(0.5)
    assert reduced(slide, 1) is slide


# What is written --------------------------------------------------------------------------------------------------

REGION = (121, 40, 500, 400)
MODEL = Scaled(card_of(WIDE))


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".dcm", ".png"])
def test_the_result_says_its_pixel_size_and_its_reduction(opened: Opened, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"a{suffix}"
    written = confostain.stain_slide(opened(0.15), out, model=MODEL, region=REGION)
    assert (written.size, written.reduction) == (Size(167, 134), 3)
    assert written.microns_per_pixel == pytest.approx(0.45)
    result = find_result(out)
    assert result is not None
    told = result.provenance.get("told") or " ".join(f"{key}: {text}." for key, text in result.provenance.items())
    assert "reduced by: 3." in told
    assert "region: 120,39,501,402." in told
    with confostain.open_histology(result.picture) as picture:
        assert picture.microns_per_pixel == pytest.approx(0.45, rel=1e-3)
        assert tuple(picture.size) == (167, 134)


def test_a_slide_in_the_range_says_nothing_of_a_reduction(opened: Opened, tmp_path: Path) -> None:
    confostain.stain_slide(opened(0.5), tmp_path / "a.ome.tif", model=MODEL)
    result = find_result(tmp_path / "a.ome.tif")
    assert result is not None
    assert "reduced by" not in result.provenance


@pytest.mark.parametrize(("scale", "factor"), [(0.5, 1), (0.2, 2), (0.15, 3)])
def test_the_result_keeps_its_place_in_the_slide(opened: Opened, tmp_path: Path, scale: float, factor: int) -> None:
    confostain.stain_slide(opened(scale), tmp_path / "a.ome.zarr", model=MODEL, region=REGION)
    attributes = dict(zarr.open_group(tmp_path / "a.ome.zarr", mode="r").attrs)
    datasets: Any = attributes["multiscales"]
    for level, dataset in enumerate(datasets[0]["datasets"]):
        steps = {step["type"]: step[step["type"]] for step in dataset["coordinateTransformations"]}
        side = factor * 2**level  # of a pixel, in pixels of the slide
        corner = REGION[1] // factor * factor, REGION[0] // factor * factor
        assert steps["scale"][1:] == pytest.approx([side * scale] * 2)
        assert steps["translation"][1:] == pytest.approx([(at + (side - 1) / 2) * scale for at in corner])
