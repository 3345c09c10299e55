from __future__ import annotations

import numpy as np

from confostain.geometry import Region
from confostain.imaging.channels import blob_asymmetry, look_swapped
from confostain.simulation.phantom import Phantom


def test_painted_channels_are_told_apart(phantom: Phantom) -> None:
    inside = Region(150, 130, 400, 260)
    assert phantom.tissue(inside).all()
    pair = phantom.pair(inside)
    reflectance, fluorescence = (channel[np.newaxis] / np.percentile(channel, 99.7) for channel in pair)
    assert look_swapped(fluorescence, reflectance)
    assert not look_swapped(reflectance, fluorescence)


def test_speckle_has_no_blobs_and_dots_are_blobs() -> None:
    rng = np.random.default_rng(3)
    speckle = rng.gamma(45, 1 / 45, (4, 128, 128)).astype(np.float32) / 3
    dots = speckle.copy()
    for y, x in rng.integers(0, 120, (60, 2)):
        dots[:, y : y + 6, x : x + 6] *= 2
    assert abs(blob_asymmetry(speckle)) < 0.2
    assert blob_asymmetry(dots) > 0.4
    assert look_swapped(dots, speckle)


def test_when_unsure_it_stays_silent() -> None:
    rng = np.random.default_rng(3)
    grey = rng.gamma(45, 1 / 45, (4, 128, 128)).astype(np.float32) / 3
    dots = grey + 0.3 * (rng.random(grey.shape) < 0.02).astype(np.float32)
    assert look_swapped(dots, grey)
    assert not look_swapped(dots, dots)  # nuclei in both
    assert not look_swapped(dots[:1, :100, :100], grey[:1, :100, :100])  # too little to see
    assert not look_swapped(dots / 4, grey / 4)  # too dark to see
    assert not look_swapped(np.ones_like(grey), np.ones_like(grey))
