from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.evaluation.stainer_metrics import measure_against_truth


def test_the_truth_itself_has_perfect_metrics(painted_section: Path) -> None:
    rgb = np.asarray(Image.open(painted_section))[100:356, 200:456]
    perfect = measure_against_truth([rgb, rgb], [rgb, rgb])
    assert perfect.ssim == pytest.approx(1)
    assert (perfect.psnr, perfect.colour_difference, perfect.f1) == (math.inf, 0, 1)
    moved = measure_against_truth([np.roll(rgb, 12, axis=0)], [rgb])
    assert moved.ssim < 0.6
    assert moved.colour_difference > 3
    assert moved.f1 < 0.6
    half = measure_against_truth([rgb, np.roll(rgb, 12, axis=0)], [rgb, rgb])
    assert half.f1 == pytest.approx((1 + moved.f1) / 2, abs=0.02)
    assert half.ssim == pytest.approx((1 + moved.ssim) / 2)
