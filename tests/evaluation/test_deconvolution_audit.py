from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from confostain.arrays import Rgb
from confostain.evaluation.deconvolution_audit import (
    audit_by_deconvolution,
    deconvolved_haematoxylin,
    detect_by_top_hat,
)
from confostain.imaging.optical_density import optical_density
from confostain.imaging.stain_separation import EOSIN, HAEMATOXYLIN

SIDE = 240
CENTRES = np.array([(y, x) for y in range(24, SIDE, 32) for x in range(24, SIDE, 32)])


def blobs(centres: np.ndarray, radius: float = 4.0) -> np.ndarray:
    """Soft discs of height 1 on 0, float32 (240, 240)."""
    y, x = np.indices((SIDE, SIDE))
    image = np.zeros((SIDE, SIDE))
    for row, column in centres:
        image = np.maximum(image, np.hypot(y - row, x - column) <= radius)
    return gaussian_filter(image, 0.7).astype(np.float32)


def painted(haematoxylin: np.ndarray, eosin: float = 0.3) -> Rgb:
    """H&E of an amount of haematoxylin, (h, w), on even eosin, by the published colours of the dyes."""
    h, e = (np.array(dye) / np.linalg.norm(dye) for dye in (HAEMATOXYLIN, EOSIN))
    return np.rint(255 * 10 ** -(haematoxylin[..., None] * h + eosin * e)).astype(np.uint8)


def places(points: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(point) for point in points.astype(int).tolist()}


@pytest.mark.parametrize("radius", [2.5, 4.0, 5.5])
@pytest.mark.parametrize("height", [0.2, 1.0])
def test_painted_blobs_are_found_where_they_are(radius: float, height: float) -> None:
    slope = np.linspace(0, 0.5, SIDE, dtype=np.float32)  # background that changes slowly
    found = detect_by_top_hat(blobs(CENTRES, radius) * np.float32(height) + slope, 0.05)
    assert len(found) == len(CENTRES)
    assert np.abs(found.yx[np.lexsort(found.yx.round(-1).T[::-1])] - CENTRES).max() <= 1
    assert (np.diff(found.contrast) <= 0).all()


@pytest.mark.parametrize(
    "image", [np.zeros((64, 64)), np.full((64, 64), 0.5), np.tile(np.linspace(0, 0.4, 64), (64, 1))]
)
def test_nothing_is_found_where_nothing_is(image: np.ndarray) -> None:
    assert len(detect_by_top_hat(image.astype(np.float32), 0.05)) == 0


def test_wide_areas_are_background() -> None:
    assert len(detect_by_top_hat(blobs(CENTRES[27:28], 30), 0.1)) == 0


def test_deconvolution_finds_haematoxylin_and_not_eosin() -> None:
    haematoxylin = blobs(CENTRES) * np.float32(0.6)
    found = deconvolved_haematoxylin(painted(haematoxylin))
    assert np.corrcoef(found.ravel(), haematoxylin.ravel())[0, 1] > 0.99
    eosin = painted(np.zeros((SIDE, SIDE)), 0.3 + haematoxylin[..., None])
    assert np.ptp(deconvolved_haematoxylin(eosin)) < 0.1 * np.ptp(found)
    assert optical_density(eosin).max() > 0.8  # though it is dark


@pytest.mark.parametrize(("left_out", "made_up"), [(0, 0), (5, 0), (0, 7), (6, 4)])
def test_missing_and_invented_nuclei_are_counted(left_out: int, made_up: int) -> None:
    heights = np.linspace(1, 0.5, len(CENTRES))  # the first ones are clear, so the left out are
    fluorescence = sum(blobs(CENTRES[i : i + 1]) * np.float32(h) for i, h in enumerate(heights))
    strong = np.array([(y + 16, x + 16) for y, x in CENTRES[:made_up]]).reshape(-1, 2)
    stained = sum(blobs(CENTRES[i : i + 1]) * h for i, h in enumerate(heights) if i >= left_out) + blobs(strong) * 1.2
    audit = audit_by_deconvolution(fluorescence * np.float32(0.8), painted(stained * 0.6), 0.75)
    assert places(audit.missing) == places(CENTRES[:left_out])
    assert places(audit.invented) == places(strong)
    clear = (len(CENTRES) + 1) // 2
    assert audit.missing_share == left_out / clear
    assert audit.invented_share == made_up / ((len(CENTRES) - left_out + made_up + 1) // 2)
    assert len(audit.matched) == clear - left_out
    assert audit.missing_per_mm2 == pytest.approx(left_out / (SIDE * 0.75e-3) ** 2)
