from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confostain.imaging.linear_stain import beer_lambert, gareau

Stain = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.uint8]]


def pixel(stain: Stain, reflectance: float, fluorescence: float) -> tuple[int, ...]:
    rf = np.array([[[reflectance]], [[fluorescence]]], np.float32)
    return tuple(int(value) for value in stain(rf)[0, 0])


@pytest.mark.parametrize(
    ("reflectance", "fluorescence", "rgb"),
    [
        (0.0, 0.0, (255, 255, 255)),
        (0.0, 1.0, (77, 51, 255)),  # 76.5 rounds up
        (1.0, 0.0, (255, 140, 224)),  # 140.25 and 224.4
        (1.0, 1.0, (77, 0, 224)),  # green: 1 - 0.8 - 0.45 is below black
        (0.5, 0.25, (210, 147, 240)),  # 210.375, 146.625, 239.7
    ],
)
def test_gareau_by_hand(reflectance: float, fluorescence: float, rgb: tuple[int, int, int]) -> None:
    assert pixel(gareau, reflectance, fluorescence) == rgb


@pytest.mark.parametrize(
    ("reflectance", "fluorescence", "rgb"),
    [
        (0.0, 0.0, (255, 255, 255)),
        (0.0, 1.0, (30, 21, 120)),  # exp(-2.15), exp(-2.5), exp(-0.75): 29.70, 20.93, 120.45
        (1.0, 0.0, (225, 21, 65)),  # exp(-0.125), exp(-2.5), exp(-1.36): 225.04, 20.93, 65.45
        (1.0, 1.0, (26, 2, 31)),  # products of both: 26.21, 1.72, 30.92
        (0.4, 0.2, (158, 57, 127)),  # exp(-0.48), exp(-1.5), exp(-0.694): 157.79, 56.90, 127.40
    ],
)
def test_beer_lambert_by_hand(reflectance: float, fluorescence: float, rgb: tuple[int, int, int]) -> None:
    assert pixel(beer_lambert, reflectance, fluorescence) == rgb


def slow_gareau(reflectance: float, fluorescence: float) -> list[float]:
    return [
        255 * max(0.0, 1 - fluorescence * (1 - h) - reflectance * (1 - e))
        for h, e in zip((0.3, 0.2, 1.0), (1.0, 0.55, 0.88), strict=True)
    ]


def slow_beer_lambert(reflectance: float, fluorescence: float) -> list[float]:
    return [
        255 * math.exp(-2.5 * h * fluorescence) * math.exp(-2.5 * e * reflectance)
        for h, e in zip((0.86, 1.0, 0.3), (0.05, 1.0, 0.544), strict=True)
    ]


@pytest.mark.parametrize(("stain", "slow"), [(gareau, slow_gareau), (beer_lambert, slow_beer_lambert)])
def test_every_pixel_is_its_formula_rounded(stain: Stain, slow: Callable[..., list[float]]) -> None:
    rf = np.random.default_rng(1).random((2, 37, 1201), dtype=np.float32)  # several blocks and a short one
    expected = np.array([slow(float(r), float(f)) for r, f in rf.reshape(2, -1).T]).reshape(37, 1201, 3)
    assert np.abs(stain(rf) - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("stain", [gareau, beer_lambert])
@given(data=st.data())
def test_any_cut_gives_the_same_bytes(stain: Stain, data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 1500))
    rf = np.random.default_rng(height * width).random((2, height, width), dtype=np.float32)
    left, right = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width))))
    top, bottom = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height))))
    whole = stain(rf)
    assert np.array_equal(stain(rf[:, top:bottom, left:right]), whole[top:bottom, left:right])
    assert np.array_equal(stain(rf[:, ::-1, ::-1]), whole[::-1, ::-1])
