"""Metrics of stains against the true H&E of simulated pairs, with intervals over the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from confostain.arrays import Rgb
from confostain.evaluation.artefacts import pale_cyan
from confostain.evaluation.bootstrap import (
    Floats,
    Interval,
    Intervals,
    bootstrap_interval,
    mean_interval,
    ratio_interval,
)
from confostain.evaluation.feature_distances import CropFeatures, FeatureDistance
from confostain.evaluation.reference_metrics import colour_difference, psnr, ssim
from confostain.imaging.nuclei import Agreement, agreement, nuclei_in_stain


@dataclass(frozen=True)
class TruthMetrics:
    """Metrics against the H&E that pairs were simulated from.

    Attributes:
        pairs: their number.
        ssim: of the colours, mean over the pairs, as psnr (in dB) and colour_difference (CIEDE2000).
        precision, recall, f1: of the nuclei of all pairs together.
        pale_cyan: share of pale cyan pixels.
        kernel_distance, frechet_distance: of features, to the true H&E; None where pairs are smaller than 224 px.
        intervals: 95 % bootstrap interval of each of these, over the pairs (of the distances, over blocks), by name.
    """

    pairs: int
    ssim: float
    psnr: float
    colour_difference: float
    precision: float
    recall: float
    f1: float
    pale_cyan: float
    kernel_distance: float | None
    frechet_distance: float | None
    intervals: Intervals


@dataclass(frozen=True)
class PairMetrics:
    """Metrics of one stain against its true H&E: means and counts that are pooled over pairs."""

    ssim: float
    psnr: float
    colour_difference: float
    nuclei: Agreement
    pale: int
    pixels: int

    @classmethod
    def of(cls, rgb: Rgb, truth: Rgb) -> PairMetrics:
        """Metrics of a stain and its truth, both uint8 (h, w, 3)."""
        a, b = (image.astype(np.float32) / np.float32(255) for image in (rgb, truth))
        nuclei = agreement(nuclei_in_stain(rgb), nuclei_in_stain(truth))
        pale = int(pale_cyan(rgb).sum())
        return cls(ssim(a, b), psnr(a, b), colour_difference(rgb, truth), nuclei, pale, rgb.shape[0] * rgb.shape[1])


def pooled_truth_metrics(
    pairs: Sequence[PairMetrics], stained: CropFeatures | None, truth: CropFeatures | None
) -> TruthMetrics:
    """Metrics of several pairs together, given the crops of their stains and of their true H&E."""
    nuclei = reduce(add, (pair.nuclei for pair in pairs))
    means = {name: [getattr(pair, name) for pair in pairs] for name in ("ssim", "psnr", "colour_difference")}
    pale, pixels = [pair.pale for pair in pairs], [pair.pixels for pair in pairs]
    distance = FeatureDistance.between(stained, truth)
    intervals: Intervals = {name: mean_interval(values) for name, values in means.items()}
    intervals |= _nuclei_intervals([pair.nuclei for pair in pairs])
    intervals |= {"pale_cyan": ratio_interval(pale, pixels)}
    intervals |= {"kernel_distance": distance.kernel_interval, "frechet_distance": distance.frechet_interval}
    return TruthMetrics(
        pairs=len(pairs),
        **{name: float(np.mean(values)) for name, values in means.items()},
        precision=nuclei.precision,
        recall=nuclei.recall,
        f1=nuclei.f1,
        pale_cyan=sum(pale) / sum(pixels),
        kernel_distance=distance.kernel,
        frechet_distance=distance.frechet,
        intervals=intervals,
    )


def _nuclei_intervals(counts: Sequence[Agreement]) -> dict[str, Interval | None]:
    """Intervals of precision, recall and F1 of the nuclei of all pairs together, over the pairs."""
    names = ("detected", "correct", "true", "recalled")
    detected, correct, true, recalled = ([getattr(one, name) for one in counts] for name in names)

    def f1(resampled: Floats) -> Floats:
        precision, recall = resampled @ correct / (resampled @ detected), resampled @ recalled / (resampled @ true)
        return np.asarray(2 * precision * recall / (precision + recall))

    return {
        "precision": ratio_interval(correct, detected),
        "recall": ratio_interval(recalled, true),
        "f1": bootstrap_interval(f1, len(counts)),
    }
