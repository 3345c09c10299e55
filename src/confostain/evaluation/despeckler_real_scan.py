"""Evaluation of a despeckler on a real scan, without truth: effective looks, mean, ratio image, checkerboard."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from confostain.arrays import Image
from confostain.imaging.intensity import image_range
from confostain.imaging.speckle_measures import (
    autocorrelation,
    effective_looks,
    ratio_image,
    structure_in_ratio,
    window_statistics,
)
from confostain.inference.despeckle import despeckle_stored
from confostain.io.readers.plane import Plane
from confostain.models.registry import DEFAULT_DESPECKLER, load_despeckler
from confostain.simulation.speckle import Speckle
from confostain.simulation.speckle_fit import estimate_speckle

BLUR = 3.0  # px, sigma: removes 99 % of the speckle's variance and keeps the coarse structure
SEED = 1980


@dataclass(frozen=True)
class SpeckleStatistics:
    """Statistics of the speckle of one image.

    Attributes:
        looks: effective number of looks in homogeneous windows, their median.
        fitted_looks: number of looks of the fitted noise model.
        grain: px.
        pedestal: as a share of the range.
        neighbour_correlation: of pixels 1 px apart, in homogeneous windows.
        roughness: standard deviation of the difference between neighbours, as a share of the range.
    """

    looks: float
    fitted_looks: float
    grain: float
    pedestal: float
    neighbour_correlation: float
    roughness: float


@dataclass(frozen=True)
class DespecklingMetrics:
    """Metrics of one despeckled scan.

    Attributes:
        noise: noise model fitted to the scan.
        looks_before, looks_after: effective number of looks, both in the homogeneous windows of the scan.
        mean_change: relative; should stay within 0.01.
        ratio_gradient_correlation: correlation of ratio image and gradient of the despeckled image; should stay within
            0.05.
        absolute_ratio_gradient_correlation: the same with the absolute deviation of the ratio image.
        ratio_correlation: of neighbours in the ratio image; should equal that of the speckle.
        speckle_correlation: of neighbours in the scan.
        checkerboard: amplitude of the strongest pattern of 4 px, as a share of the mean; see `checkerboard`.
        scan: statistics of the scan.
        synthetic: statistics of the blurred scan with speckle of the fitted noise model; they agree with those of the
            scan where the model is right.
    """

    noise: Speckle
    looks_before: float
    looks_after: float
    mean_change: float
    ratio_gradient_correlation: float
    absolute_ratio_gradient_correlation: float
    ratio_correlation: float
    speckle_correlation: float
    checkerboard: float
    scan: SpeckleStatistics
    synthetic: SpeckleStatistics

    def text(self) -> str:
        """Table for the terminal, one metric per line."""
        noise, gain = self.noise, self.looks_after / self.looks_before
        model = f"{noise.looks:.1f} looks, grain {noise.grain:.2f} px, pedestal {noise.pedestal:.3f}"
        lines = {
            "noise": f"{model}, read noise {noise.read_noise:.4f}",
            "looks": f"{self.looks_before:.1f} -> {self.looks_after:.1f} (x {gain:.2f})",
            "mean": f"{self.mean_change:+.3%}",
            "ratio and gradient": f"{self.ratio_gradient_correlation:+.3f}",
            "|ratio - 1| and gradient": f"{self.absolute_ratio_gradient_correlation:+.3f}",
            "ratio, neighbours": f"{self.ratio_correlation:.3f} (speckle: {self.speckle_correlation:.3f})",
            "checkerboard": f"{self.checkerboard:.4%}",
        }
        real = asdict(self.scan)
        for name, value in asdict(self.synthetic).items():
            lines[f"synthetic, {name}"] = f"{value:.4g} (real: {real[name]:.4g})"
        return "\n".join(f"{name:34}{value}" for name, value in lines.items())


def evaluate_on_real_scan(plane: Plane, out: Path, model: str = DEFAULT_DESPECKLER) -> DespecklingMetrics:
    """Metrics of a despeckler on a real reflectance scan; writes real.json and real.png into the folder `out`.

    The figure shows the scan: where the licence of the scan forbids to pass it on, do not pass on the figure.

    Raises:
        SlideError: the scan is too small or has no speckle. ModelError: there is no such model.
    """
    unit = np.float32(np.iinfo(plane.dtype).max if plane.dtype.kind == "u" else 1)
    raw = plane.read(plane.size.region)
    noisy = raw.astype(np.float32) / unit
    clean = despeckle_stored(raw, image_range(raw), load_despeckler(model)) / unit
    metrics = measure_despeckling(noisy, clean)
    out.mkdir(parents=True, exist_ok=True)
    (out / "real.json").write_text(json.dumps(asdict(metrics), indent=2) + "\n", encoding="utf-8")
    _draw(noisy, clean, metrics.noise, out / "real.png")
    return metrics


def measure_despeckling(noisy: Image, clean: Image) -> DespecklingMetrics:
    """Metrics of a scan (h, w) in [0, 1] and its despeckled image."""
    from scipy.ndimage import gaussian_filter

    noise = estimate_speckle(noisy)
    homogeneous = window_statistics(noisy).homogeneous()
    signed, absolute = structure_in_ratio(noisy, clean, noise.pedestal)
    # Blurred, not despeckled: speckle that a network leaves would be counted twice.
    blurred = gaussian_filter(noisy, BLUR)
    synthetic = noise.recorded(np.maximum(blurred - np.float32(noise.pedestal), 0), SEED).clip(0, 1)
    return DespecklingMetrics(
        noise=noise,
        looks_before=effective_looks(noisy, noise.pedestal, homogeneous),
        looks_after=effective_looks(clean, noise.pedestal, homogeneous),
        mean_change=float(clean.mean(dtype=np.float64) / noisy.mean(dtype=np.float64) - 1),
        ratio_gradient_correlation=signed,
        absolute_ratio_gradient_correlation=absolute,
        ratio_correlation=float(autocorrelation(ratio_image(noisy, clean, noise.pedestal), homogeneous)[0]),
        speckle_correlation=float(autocorrelation(noisy, homogeneous)[0]),
        checkerboard=checkerboard(clean),
        scan=speckle_statistics(noisy),
        synthetic=speckle_statistics(synthetic),
    )


def speckle_statistics(image: Image) -> SpeckleStatistics:
    """Statistics of the speckle of an image (h, w) in [0, 1]."""
    noise = estimate_speckle(image)
    return SpeckleStatistics(
        looks=effective_looks(image, noise.pedestal),
        fitted_looks=noise.looks,
        grain=noise.grain,
        pedestal=noise.pedestal,
        neighbour_correlation=float(autocorrelation(image)[0]),
        roughness=float(np.diff(image, axis=1).std()),
    )


def checkerboard(image: Image, period: int = 4) -> float:
    """Amplitude of the strongest pattern of `period` px that repeats over the image, as a share of the mean.

    Transposed convolutions and pixel shuffling at half and quarter resolution can leave such patterns. Every pixel of
    a 4 x 4 cell is averaged over all cells; the patterns are the Fourier components of the mean cell.
    """
    from scipy.ndimage import gaussian_filter

    height, width = (length // period * period for length in image.shape)
    detail = (image - gaussian_filter(image, period))[:height, :width]  # without gradients across the image
    phases = detail.reshape(height // period, period, width // period, period)
    spectrum = np.abs(np.fft.fft2(phases.mean(axis=(0, 2), dtype=np.float64))) / period**2
    mean = float(image.mean(dtype=np.float64))
    return float(spectrum.max()) / mean if mean else 0.0


def _draw(noisy: Image, clean: Image, noise: Speckle, path: Path) -> None:
    """Scan, despeckled scan and ratio image, at 512 px and enlarged, as a PNG."""
    from matplotlib.figure import Figure

    bright = float(np.percentile(noisy, 99.7))
    ratio = ratio_image(noisy, clean, noise.pedestal)
    pictures = (
        ("scan", noisy, (0, bright)),
        ("despeckled", clean, (0, bright)),
        ("scan / despeckled", ratio, (0.4, 1.6)),
    )
    figure = Figure(figsize=(15, 10.4), layout="constrained")
    height, width = min(noisy.shape[0], 512), min(noisy.shape[1], 512)
    whole = (slice(0, height), slice(0, width))
    detail = (slice(height // 3, height // 3 * 2), slice(width // 3, width // 3 * 2))
    for row, area in enumerate((whole, detail)):
        for column, (name, image, (low, high)) in enumerate(pictures):
            axes = figure.add_subplot(2, 3, 3 * row + column + 1)
            axes.imshow(image[area], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(name)
    figure.savefig(path, dpi=100)
