"""Despeckling judged on a real scan, where there is no truth: what must hold, in numbers and in one figure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from confostain.arrays import Image
from confostain.evaluation.despeckler_comparison import SEED
from confostain.imaging.speckle_measures import (
    autocorrelation,
    effective_looks,
    ratio_image,
    structure_in_ratio,
    window_statistics,
)
from confostain.inference.despeckle import despeckle
from confostain.io.readers.plane import Plane
from confostain.models.despeckler import DEFAULT_DESPECKLER
from confostain.simulation.speckle import Speckle
from confostain.simulation.speckle_fit import estimate_speckle

TWIN_BLUR = 3.0  # px; takes 99 % of the speckle's variance and leaves the slow structure


@dataclass(frozen=True)
class Appearance:
    """What the speckle of one image looks like; two images of one kind agree in all of it."""

    looks: float  # in homogeneous windows, median
    fitted_looks: float  # by the noise model
    grain: float  # px
    pedestal: float  # share of the range
    neighbour_correlation: float  # of pixels 1 px apart, in homogeneous windows
    roughness: float  # standard deviation of the difference between neighbours, share of the range


@dataclass(frozen=True)
class RealVerdict:
    """Measures of one despeckled scan."""

    noise: Speckle  # estimated from the scan
    looks_before: float
    looks_after: float  # in the same windows
    mean_change: float  # relative; should stay within 0.01
    ratio_gradient_correlation: float  # should stay below 0.05 in size
    swing_gradient_correlation: float  # the same for the size of the ratio's swings
    ratio_correlation: float  # of neighbours in the ratio image; should equal the speckle's
    speckle_correlation: float
    checkerboard: float  # share of the mean brightness; see `checkerboard`
    scan: Appearance
    twin: Appearance  # of the blurred scan with the estimated noise on it

    def text(self) -> str:
        """For people, one measure per line."""
        noise, gain = self.noise, self.looks_after / self.looks_before
        model = f"{noise.looks:.1f} looks, grain {noise.grain:.2f} px, pedestal {noise.pedestal:.3f}"
        lines = {
            "noise": f"{model}, read noise {noise.read_noise:.4f}",
            "looks": f"{self.looks_before:.1f} -> {self.looks_after:.1f} (x {gain:.2f})",
            "mean": f"{self.mean_change:+.3%}",
            "ratio and gradient": f"{self.ratio_gradient_correlation:+.3f}",
            "size of ratio and gradient": f"{self.swing_gradient_correlation:+.3f}",
            "ratio, neighbours": f"{self.ratio_correlation:.3f} (speckle: {self.speckle_correlation:.3f})",
            "checkerboard": f"{self.checkerboard:.4%}",
        }
        real = asdict(self.scan)
        lines |= {f"twin, {name}": f"{made:.4g} (real: {real[name]:.4g})" for name, made in asdict(self.twin).items()}
        return "\n".join(f"{name:28}{value}" for name, value in lines.items())


def judge_real(plane: Plane, out: Path, model: str = DEFAULT_DESPECKLER) -> RealVerdict:
    """Despeckle a real reflectance scan and measure; writes real.json and real.png into the folder `out`.

    The figure shows the scan: where its licence forbids to pass it on, the figure must stay where it is.

    Raises:
        SlideError: the scan is too small or holds no speckle. ModelError: there is no such model.
    """
    top = np.iinfo(plane.dtype).max if plane.dtype.kind == "u" else 1
    noisy = plane.read(plane.size.region).astype(np.float32) / np.float32(top)
    clean = despeckle(noisy, model)
    verdict = judged(noisy, clean)
    out.mkdir(parents=True, exist_ok=True)
    (out / "real.json").write_text(json.dumps(asdict(verdict), indent=2) + "\n")
    _draw(noisy, clean, verdict.noise, out / "real.png")
    return verdict


def judged(noisy: Image, clean: Image) -> RealVerdict:
    """The measures of a scan (h, w) in [0, 1] and its despeckled image."""
    from scipy.ndimage import gaussian_filter

    noise = estimate_speckle(noisy)
    quiet = window_statistics(noisy).homogeneous()
    signed, swings = structure_in_ratio(noisy, clean, noise.pedestal)
    smooth = gaussian_filter(noisy, TWIN_BLUR)  # no network: what it leaves of the speckle would count twice
    twin = noise.recorded(np.maximum(smooth - np.float32(noise.pedestal), 0), SEED).clip(0, 1)
    return RealVerdict(
        noise=noise,
        looks_before=effective_looks(noisy, noise.pedestal, quiet),
        looks_after=effective_looks(clean, noise.pedestal, quiet),
        mean_change=float(clean.mean(dtype=np.float64) / noisy.mean(dtype=np.float64) - 1),
        ratio_gradient_correlation=signed,
        swing_gradient_correlation=swings,
        ratio_correlation=float(autocorrelation(ratio_image(noisy, clean, noise.pedestal), quiet)[0]),
        speckle_correlation=float(autocorrelation(noisy, quiet)[0]),
        checkerboard=checkerboard(clean),
        scan=appearance(noisy),
        twin=appearance(twin),
    )


def appearance(image: Image) -> Appearance:
    """Measure the speckle of an image (h, w) in [0, 1]."""
    noise = estimate_speckle(image)
    return Appearance(
        looks=effective_looks(image, noise.pedestal),
        fitted_looks=noise.looks,
        grain=noise.grain,
        pedestal=noise.pedestal,
        neighbour_correlation=float(autocorrelation(image)[0]),
        roughness=float(np.diff(image, axis=1).std()),
    )


def checkerboard(image: Image, period: int = 4) -> float:
    """The strongest pattern of `period` px that repeats over the image, as a share of its mean brightness.

    A network that works at half and quarter resolution leaves one if anything. Every pixel of a 4 x 4 cell is
    averaged over all cells; the patterns are the cell's Fourier components.
    """
    from scipy.ndimage import gaussian_filter

    height, width = (length // period * period for length in image.shape)
    fast = (image - gaussian_filter(image, period))[:height, :width]  # a slope over the image is no pattern
    phases = fast.reshape(height // period, period, width // period, period)
    spectrum = np.abs(np.fft.fft2(phases.mean(axis=(0, 2), dtype=np.float64))) / period**2
    mean = float(image.mean(dtype=np.float64))
    return float(spectrum.max()) / mean if mean else 0.0


def _draw(noisy: Image, clean: Image, noise: Speckle, path: Path) -> None:
    from matplotlib.figure import Figure

    bright = float(np.percentile(noisy, 99.7))
    ratio = ratio_image(noisy, clean, noise.pedestal)
    figure = Figure(figsize=(15, 10.4), layout="constrained")
    height, width = min(noisy.shape[0], 512), min(noisy.shape[1], 512)
    zoom = (slice(height // 3, height // 3 + height // 3), slice(width // 3, width // 3 + width // 3))
    for row, area in enumerate(((slice(0, height), slice(0, width)), zoom)):
        for column, (name, image, span) in enumerate(
            (("scan", noisy, (0, bright)), ("despeckled", clean, (0, bright)), ("scan / despeckled", ratio, (0.4, 1.6)))
        ):
            axes = figure.add_subplot(2, 3, 3 * row + column + 1)
            axes.imshow(image[area], cmap="gray", vmin=span[0], vmax=span[1], interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(name)
    figure.savefig(path, dpi=100)
