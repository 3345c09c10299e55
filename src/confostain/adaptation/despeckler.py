"""Adaptation of a despeckler: trained on with the speckle fitted to the user's scans, and on their raw reflectance.

Without truth, the raw reflectance teaches by what is removed from it: that should have the power and the correlation
of speckle, and no structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confostain.arrays import REFERENCE_MPP, Image
from confostain.data.scans import typical_speckle
from confostain.errors import ConfigError, SlideError
from confostain.evaluation.despeckler_real_scan import measure_despeckling
from confostain.inference.despeckle import despeckle
from confostain.models.card import ModelCard
from confostain.models.registry import load_despeckler
from confostain.simulation.speckle import Speckle

MOST_LOOKS = 200.0  # an image with more shows no speckle to speak of: it has been smoothed
LARGEST_STRUCTURE = 0.05  # correlation of the ratio image with the gradient of the result
LARGEST_CHANGE = 0.01  # of the mean


BRIGHTEST = 0.01  # share of the pixels, in which speckle is measured on its own: highlights
MOST_LEFT = 0.5  # of the speckle in the highlights


def fitted_speckle(images: Sequence[Image]) -> Speckle | None:
    """Speckle of raw reflectance (h, w); None where there is none worth a despeckler."""
    try:
        speckle = typical_speckle(images)
    except ConfigError:
        return None
    return speckle if speckle.looks <= MOST_LOOKS else None


def recipe_table(
    folder: Path, card: ModelCard, reflectance: Path, teaching: Path, speckle: Speckle, steps: int
) -> dict[str, Any]:
    """Recipe of the training, to be written as TOML.

    Args:
        folder: of the model to begin with.
        card: of that model.
        reflectance: raw, of the scans, .npy.
        teaching: the part of the built-in H&E that teaches.
        speckle: of the scans.
        steps: of the training.
    """
    return {
        "task": "despeckle",
        "seed": 2026,
        "start": str(folder),
        "steps": steps,
        "batch": 8,
        "patch": 128,
        "learning_rate": 4e-4,
        "schedule": "cosine",
        "loss": "decibel",
        "residual_statistics": 2.0,
        "ema_decay": 0.99,
        "log_every": 20,
        "validate_every": 100,
        "data": {
            "train": [str(teaching)],
            "validate": [str(teaching)],
            "microns_per_pixel": REFERENCE_MPP,
            "reflectance": str(reflectance),
        },
        "design": card.design,
        "noise": {
            "looks": [0.8, 100.0],
            "microscope_share": 0.8,
            "microscope_looks": [0.6 * speckle.looks, 1.6 * speckle.looks],
            "blur": [0.0, 1.5],
            "grain": [max(0.0, speckle.grain - 0.1), speckle.grain + 0.1],
            "pedestal": [0.0, max(0.05, 1.5 * speckle.pedestal)],
            "gain": [0.25, 1.2],
            "read_noise": [0.0, max(0.01, 1.5 * speckle.read_noise)],
            "contrast": [0.6, 1.6],
            "clipped_share": 0.3,
        },
    }


@dataclass(frozen=True)
class DespecklerJudgement:
    """Figures of one despeckler on the reflectance of fields, means over the fields.

    Attributes:
        looks_before, looks_after: effective number of looks.
        mean_change: relative, the largest.
        structure: correlation of the ratio image with the gradient of the result.
        ratio_correlation: of neighbours in the ratio image.
        speckle_correlation: of neighbours in the scan, which that should equal.
        left_in_highlights: contrast of a pixel to its neighbours that is left in the brightest hundredth, as a share.
    """

    looks_before: float
    looks_after: float
    mean_change: float
    structure: float
    ratio_correlation: float
    speckle_correlation: float
    left_in_highlights: float

    def faults_beside(self, before: DespecklerJudgement) -> list[str]:
        """In words, what is worse than before, or not better; nothing where this despeckler should replace that one."""
        faults = []
        if abs(self.ratio_correlation - self.speckle_correlation) >= abs(
            before.ratio_correlation - before.speckle_correlation
        ):
            faults.append(
                f"neighbours in the ratio image correlate by {before.ratio_correlation:.3f} -> "
                f"{self.ratio_correlation:.3f}, those in the speckle by {self.speckle_correlation:.3f}"
            )
        if abs(self.structure) > max(LARGEST_STRUCTURE, abs(before.structure)):
            faults.append(f"structure in the ratio image {before.structure:+.3f} -> {self.structure:+.3f}")
        if self.mean_change > max(LARGEST_CHANGE, before.mean_change):
            faults.append(f"mean changed by {before.mean_change:.2%} -> {self.mean_change:.2%}")
        if self.left_in_highlights > max(MOST_LEFT, before.left_in_highlights):
            faults.append(
                f"speckle left in highlights {before.left_in_highlights:.0%} -> {self.left_in_highlights:.0%}"
            )
        if self.looks_after < before.looks_after:
            faults.append(f"effective looks {before.looks_after:.0f} -> {self.looks_after:.0f}")
        return faults


def left_in_highlights(noisy: Sequence[Image], clean: Sequence[Image]) -> float:
    """Contrast of a pixel to its neighbours that is left in the brightest hundredth of images (h, w), as a share."""
    from scipy.ndimage import uniform_filter

    around = [uniform_filter(image, 7, mode="mirror") for image in noisy]
    bright = np.quantile(np.concatenate([image.ravel() for image in around]), 1 - BRIGHTEST)

    def contrast(images: Sequence[Image]) -> float:
        middles = [np.diff(one, 2, axis=1)[where[:, 1:-1] >= bright] for one, where in zip(images, around, strict=True)]
        return float(np.square(np.concatenate(middles), dtype=np.float64).mean()) ** 0.5

    before = contrast(noisy)
    return contrast(clean) / before if before else 0.0


def judge_despeckler(raw: Sequence[Image], model: Path) -> tuple[DespecklerJudgement, list[Image]]:
    """Figures of a despeckler, given by its folder, on raw reflectance (h, w), and its results.

    Raises:
        SlideError: no image shows speckle.
    """
    loaded = load_despeckler(model)
    images = [despeckle(noisy, loaded) for noisy in raw]
    measured = []
    for noisy, clean in zip(raw, images, strict=True):
        with suppress(SlideError):
            measured.append(measure_despeckling(noisy, clean))
    if not measured:
        raise SlideError(f"{len(raw)} fields without speckle to measure; expected raw reflectance")

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in measured]))

    return (
        DespecklerJudgement(
            looks_before=mean("looks_before"),
            looks_after=mean("looks_after"),
            mean_change=max(abs(one.mean_change) for one in measured),
            structure=mean("ratio_gradient_correlation"),
            ratio_correlation=mean("ratio_correlation"),
            speckle_correlation=mean("speckle_correlation"),
            left_in_highlights=left_in_highlights(raw, images),
        ),
        images,
    )
