"""Evaluation data of stainers: pairs simulated from H&E with their truth, windows of real scans, fields of real H&E."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from confostain.arrays import REFERENCE_MPP, Pair, Rgb
from confostain.data.histology_fields import FIELD_SIDE, tissue_fields
from confostain.errors import OptionError
from confostain.evaluation.distribution_metrics import ImageFeatures
from confostain.evaluation.feature_distances import CropFeatures
from confostain.geometry import Region, Size
from confostain.imaging.linear_stain import gareau
from confostain.io.readers.pixel_size import agreed
from confostain.simulation.from_histology import simulate
from confostain.slide import Slide

MAX_WINDOW = 2048  # px, of a real scan
MAX_REFERENCES = 60  # fields of each slide of real H&E
SEED = 2019


@dataclass(frozen=True, eq=False)
class SimulatedPair:
    """Confocal pair simulated from an H&E field.

    Attributes:
        name: slide and number of the field.
        slide: name of the slide.
        pair: reflectance and fluorescence, float32 (2, h, w) in [0, 1].
        truth: the H&E, uint8 (h, w, 3).
    """

    name: str
    slide: str
    pair: Pair
    truth: Rgb


@dataclass(frozen=True, eq=False)
class RealScan:
    """Window of a real scan.

    Attributes:
        slide: the scan, which must stay open.
        window: in level-0 pixels.
        pair: reflectance and fluorescence, float32 (2, h, w) in [0, 1].
        linear: their Gareau image, the reference of some metrics, uint8 (h, w, 3).
        linear_features: of the Gareau image.
    """

    slide: Slide
    window: Region
    pair: Pair
    linear: Rgb
    linear_features: ImageFeatures

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return scan_name(self.slide)

    @property
    def microns_per_pixel(self) -> float:
        """Pixel size of the slide, 0.75 um where it is not known."""
        return self.slide.microns_per_pixel or REFERENCE_MPP


@dataclass(frozen=True, eq=False)
class RealHistology:
    """Fields of real H&E of one slide.

    Attributes:
        name: of its file or folder.
        fields: uint8 (h, w, 3) at 0.75 um/px, from top to bottom.
        features: of these fields.
        crops: of these fields, for feature distances; None where they are too small.
    """

    name: str
    fields: list[Rgb]
    features: ImageFeatures
    crops: CropFeatures | None

    @classmethod
    def of(cls, name: str, fields: list[Rgb]) -> RealHistology:
        """Fields with their features."""
        return cls(name, fields, ImageFeatures.of(fields), CropFeatures.of(fields))


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Everything that stainers are evaluated on.

    Attributes:
        simulated: pairs with truth, slide by slide.
        truth_crops: of the H&E of these pairs; None where it is too small.
        scans: windows of real scans; no two have the same name.
        reference: the real H&E that stains are compared with.
        others: further real H&E, as of other laboratories, compared with the reference as a stain is.
    """

    simulated: list[SimulatedPair]
    truth_crops: CropFeatures | None
    scans: list[RealScan]
    reference: RealHistology
    others: list[RealHistology]


def load_evaluation_data(
    histology: Sequence[str],
    slides: Sequence[Slide],
    references: Sequence[str],
    patches: int,
    side: int,
    histology_mpp: float = REFERENCE_MPP,
) -> EvaluationData:
    """Read H&E and scans, and simulate pairs.

    Args:
        histology: H&E slides, or folders of pictures of one slide each, to simulate pairs from.
        slides: real scans.
        references: real H&E likewise, the reference first; by default `histology`.
        patches: number of simulated pairs.
        side: their side in pixels.
        histology_mpp: pixel size in um of H&E that does not say it.

    Raises:
        OptionError: there is neither H&E nor a scan, no pair is wanted, the pixel size cannot be a microscope's, or two
            scans or two H&E slides have the same name.
        SlideError: a slide cannot be read.
    """
    if not (histology or slides):
        raise OptionError("no data: give H&E slides to simulate pairs from (--histology), or real scans (--real)")
    if not (histology or references):
        raise OptionError("no real H&E: give some for the stains to be compared with (--reference)")
    if patches < 1:
        raise OptionError(f"{patches} simulated pairs: expected at least one")
    agreed("", None, histology_mpp)
    real = references or histology
    _refuse_same_names("scans", [scan_name(slide) for slide in slides])
    for paths in (histology, real):
        _refuse_same_names("H&E", [histology_name(path) for path in paths])
    pairs = simulate_pairs(histology, patches, side, histology_mpp)
    reference, *others = (
        RealHistology.of(histology_name(path), tissue_fields(path, MAX_REFERENCES, side, histology_mpp))
        for path in real
    )
    truth_crops = CropFeatures.of([pair.truth for pair in pairs])
    return EvaluationData(pairs, truth_crops, [read_scan(slide) for slide in slides], reference, others)


def histology_name(path: str | Path) -> str:
    """Name of an H&E slide in tables: that of its file without the suffix, or of its folder."""
    return Path(path).resolve().stem


def _refuse_same_names(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise OptionError(f"{what} called {', '.join(names)}: expected different names; rename a file or folder")


def simulate_pairs(
    histology: Sequence[str], number: int, side: int = FIELD_SIDE, assumed: float = REFERENCE_MPP
) -> list[SimulatedPair]:
    """Pairs simulated from H&E slides: `number` in all, the same number from each; raises as `tissue_fields`."""
    pairs: list[SimulatedPair] = []
    for index, path in enumerate(histology):
        share = number // len(histology) + (index < number % len(histology))
        for truth in tissue_fields(path, share, side, assumed) if share else []:
            name = f"{histology_name(path)}, field {len(pairs) + 1}"
            pairs.append(SimulatedPair(name, histology_name(path), simulate(truth, SEED + len(pairs)), truth))
    return pairs


def scan_name(slide: Slide) -> str:
    """Name of a slide; of a file pair the name of its folder, because files are often called `R` and `F`."""
    return slide.files.paths[0].resolve().parent.name if slide.layout == "file pair" else slide.name


def read_scan(slide: Slide) -> RealScan:
    """Evaluation window of a scan with its Gareau image; SlideError where it cannot be read."""
    window = evaluation_window(slide)
    pair = slide.read(window)
    linear = gareau(pair)
    return RealScan(slide, window, pair, linear, ImageFeatures.of([linear]))


def evaluation_window(slide: Slide) -> Region:
    """Window of a scan in level-0 pixels: all of it, or the 2048 x 2048 px with the most tissue."""
    size = Size(*slide.size)
    width, height = min(size.width, MAX_WINDOW), min(size.height, MAX_WINDOW)
    cell = slide.tissue.cell
    rows, columns = -(-height // cell), -(-width // cell)
    density = ndimage.uniform_filter(slide.tissue.cells.astype(np.float32), (rows, columns), mode="constant")
    row, column = np.unravel_index(int(density.argmax()), density.shape)
    x, y = (int(index - cells // 2) * cell for index, cells in ((column, columns), (row, rows)))
    return Region(min(max(x, 0), size.width - width), min(max(y, 0), size.height - height), width, height)
