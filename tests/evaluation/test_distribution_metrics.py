from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from confostain.errors import OptionError
from confostain.evaluation.distribution_metrics import (
    ImageFeatures,
    colour_distance,
    distance_ratio_interval,
    grey,
    lbp_distance,
    lbp_histogram,
    patch_distance,
    sliced_wasserstein,
)

Rgb = npt.NDArray[np.uint8]


def texture(sigma: float, seed: int = 0, tint: tuple[float, float, float] = (1.0, 0.7, 0.9), side: int = 160) -> Rgb:
    """A coloured cloud, smooth over `sigma` px."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), sigma)
    field = 150 + 40 * field / field.std()
    return np.clip(field[..., None] * tint, 0, 255).astype(np.uint8)


def test_grey_is_rec_601_rounded() -> None:
    rgb = np.array([[[255, 255, 255], [200, 11, 30], [0, 0, 0]]], np.uint8)
    assert grey(rgb).tolist() == [[255, 70, 0]]  # 0.299 * 200 + 0.587 * 11 + 0.114 * 30 = 69.68


def test_the_distance_of_disjoint_histograms_is_two_and_of_equal_ones_zero() -> None:
    """On one flat grey every pixel has the pattern of 8 neighbours as bright; single bright points are their own."""
    flat = np.full((40, 40, 3), 90, np.uint8)
    points = flat.copy()
    points[5:-5:5, 5:-5:5] = 200
    histogram = lbp_histogram(grey(flat))
    assert histogram[8] == pytest.approx(1 - (2 * 40 + 2 * 38) / 1600)  # the outermost pixels look across the border
    assert histogram.sum() == 1
    assert lbp_histogram(grey(points))[0] == pytest.approx(6 * 6 / 1600)
    assert lbp_distance(flat, flat) == 0
    p, q = lbp_histogram(grey(points)), lbp_histogram(grey(texture(1)))
    both = p + q > 0
    by_hand = ((p - q)[both] ** 2 / (p + q)[both]).sum()
    assert lbp_distance(points, texture(1)) == pytest.approx(by_hand)
    assert 0.2 < lbp_distance(points, texture(1)) < 2


def test_the_lbp_distance_ignores_brightness_and_notices_smoothing() -> None:
    fine, coarse = texture(0.6), texture(2.0)
    assert lbp_distance(fine, texture(0.6, seed=1)) < 0.01
    assert lbp_distance(fine, (fine * 0.5).astype(np.uint8)) < 0.05
    assert lbp_distance(fine, coarse) > 0.1


def test_a_shifted_cloud_is_as_far_as_the_shift_seen_along_random_directions() -> None:
    cloud = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    assert sliced_wasserstein(cloud, cloud) == 0
    assert sliced_wasserstein(cloud, cloud[::-1]) == 0  # the order does not count
    shift = np.array([0.0, 0.4, 0.0], np.float32)
    # The mean of |cos| over the sphere is a half.
    assert sliced_wasserstein(cloud, cloud + shift) == pytest.approx(0.2, rel=0.1)


def test_features_agree_for_one_texture_and_differ_by_colour_and_by_structure() -> None:
    here = ImageFeatures.of([texture(1.5), texture(1.5, seed=1)])
    same = ImageFeatures.of([texture(1.5, seed=2), texture(1.5, seed=3)])
    assert [patches.vectors.shape for patches in here.patches] == [(4096, 147)] * 3
    assert patch_distance(here, here) == colour_distance(here, here) == 0
    near = patch_distance(here, same)
    tinted = ImageFeatures.of([texture(1.5, seed=2, tint=(1.0, 0.4, 0.9))])
    smooth = ImageFeatures.of([texture(5.0, seed=2)])
    assert patch_distance(here, tinted) > 3 * near
    assert patch_distance(here, smooth) > 2 * near
    assert colour_distance(here, tinted) > 5 * colour_distance(here, same)
    assert colour_distance(here, smooth) < 2 * colour_distance(here, same) + 0.02  # colours alone know no structure


def test_patches_come_from_images_by_their_size() -> None:
    white, black = np.full((100, 100, 3), 255, np.uint8), np.zeros((50, 100, 3), np.uint8)
    features = ImageFeatures.of([white, black])
    assert (features.colours.vectors[:, 0] == 0).mean() == pytest.approx(2 / 3, abs=0.02)
    assert features.patches[0].vectors.mean() == pytest.approx(94 / (94 + 44), abs=0.03)
    assert features.colours.vectors.max() == pytest.approx(np.log(255))


def test_coarser_scales_are_means() -> None:
    checker = np.indices((64, 64)).sum(0) % 2 * 200
    features = ImageFeatures.of([np.repeat(checker[..., None], 3, 2).astype(np.uint8)])
    assert np.unique(features.patches[0].vectors).tolist() == [0, np.float32(200 / 255)]
    assert np.unique(features.patches[1].vectors) == pytest.approx(100 / 255)


@pytest.mark.parametrize("images", [[], [np.zeros((27, 90, 3), np.uint8)]])
def test_too_small_images_are_refused(images: list[Rgb]) -> None:
    with pytest.raises(OptionError, match="28 x 28"):
        ImageFeatures.of(images)


def test_samples_know_the_blocks_that_they_are_from() -> None:
    image = np.zeros((256, 384, 3), np.uint8)
    for index in range(6):
        y, x = divmod(index, 3)
        image[y * 128 :, x * 128 :] = 30 + 40 * index
    features = ImageFeatures.of([image[:128, :128], image])
    assert features.colours.blocks == 7
    levels = 255 * np.exp(-features.colours.vectors[:, 0])
    for block, level in enumerate((30, 30, 70, 110, 150, 190, 230)):
        np.testing.assert_allclose(levels[features.colours.block == block], level, atol=0.01)
    for sample in features.patches:
        for block, level in enumerate((30, 30, 70, 110)):
            vectors = sample.vectors[sample.block == block] * 255
            assert np.median(vectors) == pytest.approx(level)


@pytest.mark.parametrize("scale", [1.0, 0.8, 0.5])
def test_the_interval_of_a_ratio_holds_the_ratio_and_is_narrow_for_even_images(scale: float) -> None:
    reference = ImageFeatures.of([texture(1.5, seed=9)])
    image, other = ((texture(1.5, seed=1) * factor).astype(np.uint8) for factor in (scale, 0.4))
    a, b = ImageFeatures.of([image]), ImageFeatures.of([other])
    for one, two, three in ((a.patches, b.patches, reference.patches), ([a.colours], [b.colours], [reference.colours])):
        distances = (
            sum(sliced_wasserstein(p.vectors, q.vectors) for p, q in zip(x, three, strict=True)) for x in (one, two)
        )
        ratio = next(distances) / next(distances)
        interval = distance_ratio_interval(one, two, three)
        assert interval is not None
        assert interval[0] - 0.01 < ratio < interval[1] + 0.03
        assert interval[1] - interval[0] < 0.15
    same = distance_ratio_interval(b.patches, b.patches, reference.patches)
    assert same == (1, 1)
