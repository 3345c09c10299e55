from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.arrays import Rgb
from confostain.evaluation.truth_metrics import PairMetrics, TruthMetrics, pooled_truth_metrics


def pooled(*pairs: tuple[Rgb, Rgb]) -> TruthMetrics:
    return pooled_truth_metrics([PairMetrics.of(*pair) for pair in pairs], None, None)


@pytest.fixture(scope="module")
def rgb(painted_section: Path) -> Rgb:
    return np.asarray(Image.open(painted_section))[100:356, 200:456]


def test_the_truth_itself_has_perfect_metrics(rgb: Rgb) -> None:
    perfect = pooled((rgb, rgb), (rgb, rgb))
    assert perfect.ssim == pytest.approx(1)
    assert (perfect.pairs, perfect.psnr, perfect.colour_difference, perfect.f1) == (2, math.inf, 0, 1)
    moved = pooled((np.roll(rgb, 12, axis=0), rgb))
    assert moved.ssim < 0.6
    assert moved.colour_difference > 3
    assert moved.f1 < 0.6
    half = pooled((rgb, rgb), (np.roll(rgb, 12, axis=0), rgb))
    assert half.f1 == pytest.approx((1 + moved.f1) / 2, abs=0.02)
    assert half.ssim == pytest.approx((1 + moved.ssim) / 2)


def test_intervals_are_over_the_pairs(rgb: Rgb) -> None:
    darker, moved = (rgb * 0.8).astype(np.uint8), np.roll(rgb, 12, axis=0)
    mixed = pooled((darker, rgb), (moved, rgb), (moved, rgb), (darker, rgb))
    for name in ("ssim", "psnr", "colour_difference", "precision", "recall", "f1"):
        low, high = mixed.intervals[name] or (2, 2)
        assert low < getattr(mixed, name) < high
    alike = pooled(*[(moved, rgb)] * 4)
    for name in ("ssim", "psnr", "colour_difference", "precision", "recall", "f1", "pale_cyan"):
        assert alike.intervals[name] == pytest.approx((getattr(alike, name),) * 2)
    assert set(pooled((moved, rgb)).intervals.values()) == {None}  # one pair says nothing of others
    assert pooled((rgb, rgb), (moved, rgb)).intervals["psnr"] is None  # infinite in one


def test_pale_cyan_pixels_of_the_stain_are_counted(rgb: Rgb) -> None:
    rimmed = rgb.copy()
    rimmed[:64] = (200, 225, 235)
    more = pooled((rimmed, rgb)).pale_cyan - pooled((rgb, rgb)).pale_cyan
    assert more == pytest.approx(0.25, abs=0.02)
    assert pooled((rimmed, rgb), (rgb, rgb)).pale_cyan == pytest.approx(more / 2 + pooled((rgb, rgb)).pale_cyan)
