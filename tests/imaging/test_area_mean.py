from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confostain.geometry import Region, Size
from confostain.imaging.area_mean import AreaMean

SIDES = st.integers(1, 40)
SCALES = st.one_of(st.integers(1, 12).map(float), st.floats(1, 12), st.sampled_from([1 / 3 * 3, 0.3 / 0.1, 4 / 3]))


def reduced(image: np.ndarray, scale: float, tile: Size) -> np.ndarray:
    size = Size(image.shape[2], image.shape[1])
    mean = AreaMean(size, scale, len(image))
    for region in size.region.tiles(tile):
        mean.add(region, image[(slice(None), *region.slices_in(size.region))])
    result = mean.image()
    assert result.dtype == np.float32
    assert result.shape == (len(image), mean.size.height, mean.size.width)
    return result


def coverage(length: int, scale: float) -> np.ndarray:
    """Slow twin: length that each output pixel (rows) shares with each input pixel (columns)."""
    count = max(1, math.ceil(length / scale - 0.01))
    starts = np.arange(count) * scale
    stops = np.append(starts[1:], length)
    pixels = np.arange(length)
    shared = np.minimum(stops[:, None], pixels + 1) - np.maximum(starts[:, None], pixels)
    return np.clip(shared, 0, 1)


@given(SIDES, SIDES, SCALES, st.integers(1, 50), st.integers(1, 50))
def test_every_pixel_is_the_mean_of_the_area_it_covers(
    width: int, height: int, scale: float, tile_width: int, tile_height: int
) -> None:
    image = np.random.default_rng(width * 41 + height).random((2, height, width), np.float32)
    down, across = coverage(height, scale), coverage(width, scale)
    expected = (down @ image @ across.T) / np.outer(down.sum(axis=1), across.sum(axis=1))
    assert np.abs(reduced(image, scale, Size(tile_width, tile_height)) - expected).max() < 1e-5


@given(SIDES, SIDES, SCALES, st.floats(0, 1, width=32))
def test_a_constant_image_stays_constant(width: int, height: int, scale: float, value: float) -> None:
    result = reduced(np.full((1, height, width), value, np.float32), scale, Size(7, 5))
    assert np.abs(result - value).max() <= 2e-6


@given(SIDES, SIDES)
def test_at_scale_1_it_is_the_image(width: int, height: int) -> None:
    image = np.random.default_rng(width).random((2, height, width), np.float32)
    assert np.array_equal(reduced(image, 1.0, Size(7, 5)), image)


@given(st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 2, 3, 5]))
def test_whole_factors_keep_the_mean(columns: int, rows: int, scale: int) -> None:
    image = np.random.default_rng(rows).random((1, rows * scale, columns * scale), np.float32)
    assert reduced(image, float(scale), Size(6, 6)).mean() == pytest.approx(float(image.mean()), abs=1e-5)


def test_a_rounding_error_of_the_scale_costs_no_pixel() -> None:
    assert AreaMean(Size(300, 300), 0.3 / 0.1, 1).size == (100, 100)
    assert AreaMean(Size(299, 301), 3.0, 1).size == (100, 101)


def test_memory_depends_on_the_output_alone() -> None:
    mean = AreaMean(Size(100_000_000, 3), 1e8, 1)
    mean.add(Region(99_999_990, 0, 10, 3), np.ones((1, 3, 10), np.float32))
    assert mean.image().shape == (1, 1, 1)
