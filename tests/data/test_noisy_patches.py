from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from confostain.data.noisy_patches import NoiseRange, NoisyPatches, add_speckle, read_inverted
from confostain.errors import ConfigError

MICROSCOPE = NoiseRange(
    looks=(1, 80),
    microscope_share=1.0,
    microscope_looks=(15, 80),
    blur=(0, 1.2),
    grain=(0, 1),
    pedestal=(0, 0.15),
    gain=(0.25, 1.2),
    read_noise=(0, 0.01),
    contrast=(0.6, 1.6),
)
WIDE = replace(MICROSCOPE, microscope_share=0.5, clipped_share=0.3)


def test_inverted_tissue_is_bright_and_glass_is_dark(histology: Path) -> None:
    (grey,) = read_inverted([str(histology)], 0.75)
    assert grey.shape == (200, 260)
    assert grey[:, :20].max() < 15
    assert grey[:, 20:].min() > 60


def test_no_files_are_refused() -> None:
    with pytest.raises(ConfigError, match="no H&E files"):
        read_inverted([], 0.75)


def test_a_seed_says_the_batch(histology: Path) -> None:
    patches = NoisyPatches(read_inverted([str(histology)], 0.75), WIDE, 48, 3)
    noisy, clean = patches.draw((1, 2, 0))
    assert noisy.shape == clean.shape == (3, 1, 48, 48)
    assert noisy.dtype == clean.dtype == np.float32
    assert np.array_equal(noisy, patches.draw((1, 2, 0))[0])
    assert not np.array_equal(noisy, patches.draw((1, 2, 1))[0])
    assert not np.array_equal(noisy, patches.draw((1, 3, 0))[0])


def test_crops_are_turned_but_never_changed() -> None:
    marked = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40) % 251
    patches = NoisyPatches([marked.astype(np.uint8)], NoiseRange((1e6, 1e6)), 40, 64)
    clean = np.rint(patches.draw((5,))[1] * 255).astype(np.uint8)
    augment = {image[0].tobytes() for image in clean}
    square = marked.astype(np.uint8)
    symmetries = {
        np.ascontiguousarray(s).tobytes() for k in range(4) for s in (np.rot90(square, k), np.rot90(square.T, k))
    }
    assert augment == symmetries


def test_crops_show_tissue_and_now_and_then_glass() -> None:
    """Tissue is pale here: darker than glass, but no brighter than 0.2 when inverted."""
    slide = np.full((400, 400), 10, np.uint8)
    slide[:, 300:] = 45
    patches = NoisyPatches([slide], NoiseRange((1e6, 1e6)), 64, 100)
    shares = (patches.draw((3,))[1] > 0.1).mean(axis=(1, 2, 3))
    assert np.mean(shares > 0.5) > 0.6
    assert shares.min() == 0


def test_noise_keeps_the_mean_of_what_should_come_out() -> None:
    clean = np.full((256, 256), 0.4, np.float32)
    rng = np.random.default_rng(0)
    for _ in range(20):
        noisy, expected = add_speckle(clean, MICROSCOPE, rng)
        assert noisy.mean() == pytest.approx(expected.mean(), rel=0.02)


def test_a_saturating_detector_clips_both() -> None:
    clean = np.full((64, 64), 1.0, np.float32)
    noisy, expected = add_speckle(clean, NoiseRange((4, 4), clipped_share=1.0), np.random.default_rng(0))
    assert noisy.max() == 1
    assert expected.max() == 1


def test_the_published_noise_is_neither_blurred_nor_lifted() -> None:
    clean = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    _, expected = add_speckle(clean, replace(MICROSCOPE, microscope_share=0.0), np.random.default_rng(0))
    assert np.array_equal(expected, clean)
    _, seen = add_speckle(clean, replace(MICROSCOPE, blur=(1, 1)), np.random.default_rng(0))
    assert seen.std() < 0.6 * clean.std()
