from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confostain.errors import OptionError
from confostain.geometry import Region, Size
from confostain.simulation.phantom import BLOCK, Cell, Phantom, organs
from confostain.simulation.phantom.lattice import Canvas, hashed, normal, uniform
from confostain.simulation.phantom.section import HALO, section

WINDOW = Region(380, 150, 260, 200)  # crosses a block border, epidermis and dermis
CHANNELS = ("reflectance", "clean_reflectance", "fluorescence", "histology", "tissue")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(Size(900, 700), seed=3)


@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    seed=st.integers(0, 3),
    cut_x=st.integers(-20, 720),
    cut_y=st.integers(-20, 720),
    channel=st.sampled_from([*CHANNELS, "pair"]),
)
def test_any_split_gives_the_same_bits(width, height, seed, cut_x, cut_y, channel):
    paint = getattr(Phantom(Size(width, height), seed), channel)
    whole = paint(Region(-9, -5, width + 20, height + 12))
    left_top = Region(-9, -5, max(0, cut_x + 9), max(0, cut_y + 5)).intersection(
        Region(-9, -5, width + 20, height + 12)
    )
    rest = Region(left_top.right, -5, width + 11 - left_top.right, height + 12)
    below = Region(-9, left_top.bottom, left_top.width, height + 7 - left_top.bottom)
    axes = (-2, -1) if channel == "pair" else (0, 1)
    left = np.concatenate([paint(left_top), paint(below)], axis=axes[0])
    np.testing.assert_array_equal(np.concatenate([left, paint(rest)], axis=axes[1]), whole)


def test_each_patient_is_another_and_the_same_again(phantom):
    np.testing.assert_array_equal(phantom.pair(WINDOW), Phantom(phantom.size, phantom.seed).pair(WINDOW))
    assert (phantom.histology(WINDOW) != Phantom(phantom.size, 4).histology(WINDOW)).mean() > 0.3


def test_the_pair_is_its_two_channels(phantom):
    pair = phantom.pair(WINDOW)
    np.testing.assert_array_equal(pair[0], phantom.reflectance(WINDOW))
    np.testing.assert_array_equal(pair[1], phantom.fluorescence(WINDOW))
    assert pair.dtype == np.float32
    assert pair.min() >= 0
    assert pair.max() <= 1


def test_outside_the_slide_there_is_nothing(phantom):
    beyond = Region(phantom.size.width, 10, 40, 30)
    assert not phantom.pair(beyond).any()
    assert (phantom.histology(beyond) == 255).all()
    assert not phantom.tissue(beyond).any()
    assert len(phantom.nuclei(beyond)) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("side", [400, 512])
def test_a_small_slide_shows_glass_epidermis_and_dermis(side, seed):
    phantom = Phantom(Size(side, side), seed)
    tissue = phantom.tissue(phantom.size.region)
    assert 0.3 < tissue.mean() < 0.85
    kinds = np.bincount(phantom.nuclei(phantom.size.region).kind, minlength=len(Cell))
    assert kinds[Cell.BASAL] > 20
    assert kinds[Cell.SPINOUS] > 30
    assert kinds[Cell.FIBROBLAST] > 30


def test_glass_is_dark_in_the_microscope_and_white_in_the_section(phantom):
    region = phantom.size.region
    tissue = phantom.tissue(region)
    reflectance, fluorescence = phantom.pair(region)
    for channel in (reflectance, fluorescence):
        assert np.median(channel[~tissue]) < 0.5 * np.median(channel[tissue])
    far = ~tissue
    far[1:] &= ~tissue[:-1]
    far[:-1] &= ~tissue[1:]
    assert np.percentile(phantom.histology(region)[far].min(-1), 2) > 230


def test_nuclei_lie_where_all_channels_show_them(phantom):
    region = phantom.size.region
    cells = phantom.nuclei(region)
    x, y = cells.level0_xy.astype(int).T
    fluorescence, histology = phantom.fluorescence(region), phantom.histology(region).astype(float)
    tissue = phantom.tissue(region)
    assert tissue[y, x].mean() > 0.99
    assert np.median(fluorescence[y, x]) > 1.5 * np.median(fluorescence[tissue])
    assert np.median(histology[y, x, 0]) < 0.7 * np.median(histology[tissue][:, 0])  # haematoxylin takes red


def test_nuclei_are_counted_once_however_the_slide_is_cut(phantom):
    whole = phantom.nuclei(phantom.size.region)
    edges = [0, 100, BLOCK, BLOCK + 1, phantom.size.width]
    pieces = [phantom.nuclei(Region(a, 0, b - a, phantom.size.height)) for a, b in pairwise(edges)]
    found = np.concatenate([piece.level0_xy for piece in pieces])
    assert sorted(map(tuple, found)) == sorted(map(tuple, whole.level0_xy))
    assert len(np.unique(whole.level0_xy, axis=0)) == len(whole)


def test_outlines_enclose_their_nucleus(phantom):
    cells = phantom.nuclei(WINDOW)
    outlines = cells.outlines(32)
    assert outlines.shape == (len(cells), 32, 2)
    x, y = np.moveaxis(outlines, -1, 0)
    area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1))
    np.testing.assert_allclose(area, np.pi * cells.semi_axes.prod(1), rtol=0.05)


def test_neighbouring_blocks_paint_the_same_in_each_others_halo():
    size = Size(1400, 1100)
    left, right = (section(Canvas(x, BLOCK, BLOCK, 1), size)[0] for x in (0, BLOCK))
    near = 2  # px on either side of the border: what blurs of the block's own last column reach
    for name in ("tissue", "epithelium", "collagen", "cleft", "melanin", "chromatin"):
        one = getattr(left, name)[HALO:-HALO, HALO + BLOCK - near : HALO + BLOCK + near]
        other = getattr(right, name)[HALO:-HALO, HALO - near : HALO + near]
        np.testing.assert_allclose(one, other, atol=0.06)


@pytest.mark.parametrize("corner", [(3072, 1536), (2560, 2048), (3584, 2560)])
def test_no_organ_is_cut_off_by_the_window_it_is_painted_in(monkeypatch, corner):
    canvas, size = Canvas(*corner, BLOCK, 2), Size(6000, 5000)
    narrow = section(canvas, size)[0]
    monkeypatch.setattr(organs, "REACH", organs.REACH + 80)
    wide = section(canvas, size)[0]
    for name in ("epithelium", "foam", "crowd", "collagen", "chromatin"):
        np.testing.assert_allclose(getattr(narrow, name), getattr(wide, name), atol=0.02, err_msg=name)


def test_reflectance_carries_the_speckle_of_the_microscope(phantom):
    """Contrast 1 / sqrt(45) above the pedestal, neighbours correlated by about 0.26 (FIELD: cm/skin_b)."""
    region = phantom.size.region
    clean, noisy = phantom.clean_reflectance(region), phantom.reflectance(region)
    bright = (clean > 0.3) & (noisy < 0.99)
    grain = (noisy - 20 / 255) / np.maximum(clean - 20 / 255, 1e-3)
    assert grain[bright].mean() == pytest.approx(1, abs=0.01)
    assert 35 < 1 / grain[bright].var() < 60
    both = bright[:, 1:] & bright[:, :-1]
    correlation = np.corrcoef(grain[:, 1:][both], grain[:, :-1][both])[0, 1]
    assert 0.2 < correlation < 0.32


def test_memory_is_that_of_the_region_not_of_the_slide():
    huge = Phantom(Size(200_000, 150_000), seed=5)
    assert huge.pair(Region(100_000, 80_000, 64, 48)).shape == (2, 48, 64)


def test_recorded_bands_are_the_pair_in_sixteen_bits(phantom):
    bands = list(phantom.recorded_bands())
    counts = np.concatenate(bands, axis=1)
    assert counts.dtype == np.uint16
    np.testing.assert_array_equal(counts, np.rint(phantom.pair(phantom.size.region) * np.float32(65535)))
    assert np.percentile(counts[0], 1) > 3000  # the detector's dark pedestal


def test_a_slide_without_pixels_is_refused():
    with pytest.raises(OptionError, match="0 x 5"):
        Phantom(Size(0, 5))


def test_noise_depends_on_place_not_on_the_canvas():
    near, far = Canvas(0, 0, 64, 9), Canvas(-32, 16, 64, 9)
    for spacing in (4, 32, 256):
        one, other = near.noise("n", spacing), far.noise("n", spacing)
        np.testing.assert_allclose(one[16:, :32], other[:48, 32:], atol=1e-5)
    assert Canvas(0, 0, 512, 9).noise("n", 8).std() == pytest.approx(1, abs=0.05)


def test_hashes_are_even_and_uncorrelated():
    words = hashed(1, "layer", np.arange(512), np.arange(512))
    assert np.unique(words).size > 0.999 * words.size
    assert uniform(words).mean() == pytest.approx(0.5, abs=0.01)
    z = normal(words)
    assert z.std() == pytest.approx(1, abs=0.01)
    for shifted in (z[1:], z[:, 1:]):
        base = z[: shifted.shape[0], : shifted.shape[1]]
        assert abs(np.corrcoef(base.ravel(), shifted.ravel())[0, 1]) < 0.01
    assert not np.array_equal(words, hashed(2, "layer", np.arange(512), np.arange(512)))
