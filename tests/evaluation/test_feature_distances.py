from __future__ import annotations

import numpy as np
import pytest

from confostain.evaluation import feature_distances
from confostain.evaluation.feature_distances import CropFeatures, FeatureDistance, frechet_distance, kernel_distance

DIMENSIONS = 40


def cloud(number: int, shift: float = 0.0, seed: int = 0, spread: float = 1.0) -> CropFeatures:
    """Features drawn from a normal distribution, each crop a block of its own."""
    vectors = np.random.default_rng(seed).normal(shift, spread, (number, DIMENSIONS))
    return CropFeatures(vectors, np.zeros(number, np.intp), np.arange(number))


def obvious_kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    within = [np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    return float(sum(within) - 2 * np.mean([kernel(x, y) for x in a for y in b]))


@pytest.mark.parametrize(("number", "other", "shift"), [(5, 9, 0.0), (12, 7, 0.5), (2, 2, 1.0)])
def test_the_kernel_distance_is_the_unbiased_estimate(number: int, other: int, shift: float) -> None:
    a, b = cloud(number), cloud(other, shift, seed=1)
    assert kernel_distance(a, b)[0] == pytest.approx(obvious_kernel_distance(a.vectors, b.vectors))
    blocks = CropFeatures(a.vectors, a.image, np.arange(number) // 2)  # blocks do not change it
    assert kernel_distance(blocks, b)[0] == pytest.approx(kernel_distance(a, b)[0])


def test_the_kernel_distance_of_one_distribution_is_zero_on_average() -> None:
    values = [kernel_distance(cloud(15, seed=i), cloud(15, seed=i + 100))[0] for i in range(0, 60, 2)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_intervals_hold_the_distance_and_grow_narrower_with_crops(shift: float) -> None:
    widths = []
    for number in (12, 100):
        a, b = cloud(number, shift), cloud(100, seed=1)
        for value, interval in (kernel_distance(a, b), frechet_distance(a, b)):
            low, high = interval or (9, 9)
            assert low <= value <= high
        low, high = kernel_distance(a, b)[1] or (9, 9)
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_frechet_distance_of_a_shift_is_its_square_in_the_plane(shift: float) -> None:
    a = cloud(200)
    moved = CropFeatures(a.vectors + shift, a.image, a.block)
    centred = a.vectors - a.vectors.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][: feature_distances.DIRECTIONS]
    assert frechet_distance(moved, a)[0] == pytest.approx(np.square(axes.sum(axis=1) * shift).sum(), rel=1e-6)
    wider = CropFeatures(a.vectors.mean(axis=0) + 2 * centred, a.image, a.block)  # (2 - 1)^2 of the variance
    assert frechet_distance(wider, a)[0] == pytest.approx(np.square(centred @ axes.T).mean(axis=0).sum())


def test_crops_are_drawn_by_area_and_know_image_and_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_distances, "CROPS", 90)
    seen: list[np.ndarray] = []

    def means(crops: list[np.ndarray]) -> np.ndarray:
        seen.extend(crops)
        return np.array([crop.mean(axis=(0, 1)) for crop in crops])

    monkeypatch.setattr(feature_distances, "_pooled", means)
    small, large = np.full((224, 224, 3), 10, np.uint8), np.full((448, 448, 3), 200, np.uint8)
    features = CropFeatures.of([small, large])
    assert features is not None
    assert all(crop.shape == (224, 224, 3) for crop in seen)
    assert np.array_equal(features.vectors[:, 0], np.where(features.image == 0, 10, 200))
    assert (features.image == 0).sum() == pytest.approx(18, abs=8)
    assert features.blocks == 5  # one of the small image, four of the large
    assert features.of_images(1, 2).blocks == 4
    assert (features.of_images(0, 1).vectors == 10).all()
    assert np.array_equal(CropFeatures.of([small, large]).vectors, features.vectors)  # type: ignore[union-attr]


@pytest.mark.parametrize("sizes", [[], [(223, 400)], [(400, 400), (400, 200)]])
def test_images_smaller_than_a_crop_have_no_distance(sizes: list[tuple[int, int]]) -> None:
    crops = CropFeatures.of([np.zeros((*size, 3), np.uint8) for size in sizes])
    assert crops is None
    for pair in ((crops, cloud(5)), (cloud(5), crops), (cloud(1), cloud(5))):
        assert FeatureDistance.between(*pair) == FeatureDistance(None, None, None, None)


def test_a_texture_is_nearer_to_itself_than_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_distances, "CROPS", 10)
    rng = np.random.default_rng(0)
    fine = [rng.integers(80, 255, (480, 480, 3)).astype(np.uint8) for _ in range(2)]
    coarse = np.repeat(np.repeat(rng.integers(80, 255, (80, 80, 3)), 6, axis=0), 6, axis=1).astype(np.uint8)
    first, second, other = (CropFeatures.of([image]) for image in (*fine, coarse))
    near, far = FeatureDistance.between(first, second), FeatureDistance.between(other, second)
    assert abs(near.kernel or 9) < 0.1 * (far.kernel or 0)
    assert (near.frechet or 9) < 0.1 * (far.frechet or 0)
