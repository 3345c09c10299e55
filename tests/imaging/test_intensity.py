from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confostain.imaging.intensity import (
    IntensityRange,
    image_range,
    measured_range,
    normalise,
    range_share,
    stored_values,
)

GLASS, TISSUE = 900, 20000


def mostly_glass(share: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Glass around 900 and tissue from 15000 to 20000, with where the tissue is."""
    rng = np.random.default_rng(2)
    in_tissue = np.zeros((400, 500), bool)
    in_tissue[:, : int(500 * share)] = True
    pixels = rng.normal(GLASS, 20, in_tissue.shape)
    pixels[in_tissue] = rng.uniform(15000, TISSUE, int(in_tissue.sum()))
    return pixels.astype(np.uint16), in_tissue


def test_a_slide_mostly_of_glass_keeps_the_top_of_its_tissue() -> None:
    measured = [measured_range(*mostly_glass(share)) for share in (0.01, 0.1, 0.9)]
    for intensity in measured:
        assert intensity.bright == pytest.approx(TISSUE, rel=0.01)
        assert intensity.dark == pytest.approx(GLASS, abs=80)


def test_a_few_hot_or_dead_pixels_do_not_move_the_range() -> None:
    pixels, in_tissue = mostly_glass()
    spoilt = pixels.copy()
    spoilt[::40, ::25], spoilt[1::40, ::25] = 65535, 0  # 0.1 percent each, in and out of the tissue
    clean, measured = measured_range(pixels, in_tissue), measured_range(spoilt, in_tissue)
    assert measured.bright == pytest.approx(clean.bright, rel=0.01)
    assert measured.dark == pytest.approx(clean.dark, abs=10)


def test_without_tissue_the_whole_sample_gives_the_range() -> None:
    pixels, in_tissue = mostly_glass()
    assert measured_range(pixels, np.zeros_like(in_tissue)).bright == pytest.approx(TISSUE, rel=0.02)


@pytest.mark.parametrize("value", [0, 4095, 65535])
def test_a_constant_channel_becomes_zeros(value: int) -> None:
    raw = np.full((7, 5), value, np.uint16)
    intensity = measured_range(raw, np.ones(raw.shape, bool))
    assert (intensity.dark, intensity.bright) == (value, value)
    assert not normalise(raw, intensity).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_dark_is_zero_bright_is_one_and_the_rest_is_clipped(dtype: type) -> None:
    raw = np.array([[0, 10, 60, 110, 200]], dtype)
    normal = normalise(raw, IntensityRange(10, 110))
    assert normal.dtype == np.float32
    assert normal.tolist() == [[0, 0, 0.5, 1, 1]]


def test_normalise_writes_into_the_array_it_is_given() -> None:
    out = np.full((2, 3), 7, np.float32)
    assert normalise(np.full((2, 3), 30, np.uint16), IntensityRange(10, 50), out=out) is out
    assert (out == 0.5).all()


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 60000), st.integers(1, 60000), st.data())
def test_any_cut_gives_the_same_bits(height: int, width: int, dark: int, contrast: int, data: st.DataObject) -> None:
    raw = np.random.default_rng(height).integers(0, 65536, (height, width), np.uint16)
    intensity = IntensityRange(dark, dark + contrast)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    whole = normalise(raw, intensity)
    assert np.array_equal(normalise(raw[top:, left::2], intensity), whole[top:, left::2])


def test_shares_are_clipped_below_the_dark_level_only() -> None:
    raw = np.array([[0, 10, 60, 110, 210]], np.uint16)
    share = range_share(raw, IntensityRange(10, 110))
    assert share.dtype == np.float32
    assert share.tolist() == [[0, 0, 0.5, 1, 2]]
    assert stored_values(share, IntensityRange(10, 110)).tolist() == [[10, 10, 60, 110, 210]]


@given(st.integers(0, 60000), st.integers(1, 60000))
def test_shares_come_back_as_they_were_stored(dark: int, contrast: int) -> None:
    raw = np.arange(0, 65536, 7, np.uint16)
    intensity = IntensityRange(dark, dark + contrast)
    share = range_share(raw, intensity)
    assert np.array_equal(normalise(raw, intensity), np.minimum(share, 1))
    np.testing.assert_allclose(stored_values(share, intensity), np.maximum(raw, dark), atol=0.02)


def test_floats_that_are_shares_already_keep_every_bit() -> None:
    share = np.random.default_rng(0).gamma(2, 0.3, (40, 50)).astype(np.float32)
    intensity = IntensityRange(0, 1)
    assert np.array_equal(stored_values(range_share(share, intensity), intensity), share)


def test_an_image_without_contrast_comes_back_as_it_was() -> None:
    raw = np.full((5, 6), 300, np.uint16)
    intensity = image_range(raw)
    assert not range_share(raw, intensity).any()
    assert np.array_equal(stored_values(range_share(raw, intensity), intensity), raw)


def test_the_zeros_around_a_scan_do_not_count_in_its_range() -> None:
    pixels, _ = mostly_glass(0.9)
    padded = np.pad(pixels, 300)
    assert image_range(padded) == image_range(pixels)
    assert image_range(pixels).dark == pytest.approx(GLASS, abs=80)
    assert image_range(pixels).bright == pytest.approx(TISSUE, rel=0.01)
    assert image_range(np.zeros((4, 4), np.uint8)) == IntensityRange(0, 0)
