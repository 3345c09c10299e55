from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from confostain.arrays import Pair, Rgb
from confostain.evaluation.tissue_edge import EmptyGround, empty_ground_test


@dataclass(frozen=True)
class Ground:
    """A stain with grey where there is nothing, and one white level where there is tissue."""

    grey: int
    name: str = "ground"
    stride: int = 1
    receptive_field: int = 1
    weights_sha256: str | None = None

    def __call__(self, pair: Pair) -> Rgb:
        levels = np.where(pair.max(axis=0) > 0.1, 255, self.grey)
        return np.repeat(levels[..., np.newaxis], 3, axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def grounds() -> dict[int, EmptyGround]:
    return {grey: empty_ground_test(Ground(grey)) for grey in (255, 240, 200)}


def test_white_ground_has_no_rim(grounds: dict[int, EmptyGround]) -> None:
    assert (grounds[255].ground.mean, grounds[255].ground.below_white, grounds[255].rim) == (255, 0, 255)


def test_grey_ground_is_a_rim_where_the_tissue_mask_ends(grounds: dict[int, EmptyGround]) -> None:
    for grey in (240, 200):
        measured = grounds[grey]
        assert grey - 1 < measured.rim < grey + 12
        assert 8 <= measured.rim_distance < 64
        assert 0 < measured.ground.below_white < 0.4  # far from tissue the whole-slide path makes it white
        assert measured.rim < measured.ground.mean < 255
    assert grounds[200].ground.mean < grounds[240].ground.mean
