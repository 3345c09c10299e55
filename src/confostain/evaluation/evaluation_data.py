"""Evaluation data of stainers: pairs simulated from H&E with their truth, windows of real scans, fields of real H&E."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from confostain.arrays import REFERENCE_MPP, Pair, Rgb
from confostain.errors import OptionError, SlideError
from confostain.evaluation.distribution_metrics import ImageFeatures
from confostain.geometry import Region, Size
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.linear_stain import gareau
from confostain.io.readers.histology import open_histology
from confostain.simulation.from_histology import simulate
from confostain.slide import Slide

FIELD_SIDE = 512  # px, of a field of H&E
MIN_TISSUE_SHARE = 0.7  # of a field
OVERVIEW_SCALE = 16  # px of a field per px of the overview on which tissue is found
MAX_WINDOW = 2048  # px, of a real scan
MAX_REFERENCES = 60  # fields of real H&E
SEED = 2019


@dataclass(frozen=True, eq=False)
class SimulatedPair:
    """Confocal pair simulated from an H&E field.

    Attributes:
        name: slide and number of the field.
        pair: reflectance and fluorescence, float32 (2, h, w) in [0, 1].
        truth: the H&E, uint8 (h, w, 3).
    """

    name: str
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
class EvaluationData:
    """Everything that stainers are evaluated on.

    Attributes:
        simulated: pairs with truth.
        scans: windows of real scans; no two have the same name.
        references: fields of real H&E, slide by slide, from top to bottom.
        reference_features: of these fields.
    """

    simulated: list[SimulatedPair]
    scans: list[RealScan]
    references: list[Rgb]
    reference_features: ImageFeatures


def load_evaluation_data(
    histology: Sequence[str], slides: Sequence[Slide], references: Sequence[str], patches: int, side: int
) -> EvaluationData:
    """Read H&E and scans, and simulate pairs.

    Args:
        histology: H&E slides to simulate pairs from.
        slides: real scans.
        references: real H&E; by default `histology`.
        patches: number of simulated pairs.
        side: their side in pixels.

    Raises:
        OptionError: there is neither H&E nor a scan, no pair is wanted, or two scans have the same name.
        SlideError: a slide cannot be read.
    """
    if not (histology or slides):
        raise OptionError("no data: give H&E slides to simulate pairs from (--histology), or real scans (--real)")
    if not (histology or references):
        raise OptionError("no real H&E: give some for the stains to be compared with (--reference)")
    if patches < 1:
        raise OptionError(f"{patches} simulated pairs: expected at least one")
    names = [scan_name(slide) for slide in slides]
    if len(set(names)) < len(names):
        raise OptionError(f"scans called {', '.join(names)}: expected different names; rename a file or folder")
    real = references or histology
    fields = [field for path in real for field in tissue_fields(path, max(2, MAX_REFERENCES // len(real)), side)]
    return EvaluationData(
        simulate_pairs(histology, patches, side),
        [read_scan(slide) for slide in slides],
        fields,
        ImageFeatures.of(fields),
    )


def tissue_fields(path: str | Path, number: int, side: int = FIELD_SIDE) -> list[Rgb]:
    """Fields of an H&E slide that are mostly tissue: uint8 (side, side, 3) at 0.75 um/px, from top to bottom.

    At most `number`, at even distances in the list of all such fields.

    Raises:
        SlideError: the file cannot be read, or no field has enough tissue.
    """
    with open_histology(path, assumed=REFERENCE_MPP) as slide:
        width, height = slide.size_at(REFERENCE_MPP)
        coarse = REFERENCE_MPP * OVERVIEW_SCALE
        overview = slide.read_region((0, 0), slide.size_at(coarse), coarse)
        tissue = tissue_mask(overview)
        corners = [
            (x, y)
            for y in range(0, height - side + 1, side)
            for x in range(0, width - side + 1, side)
            if _tissue_share(tissue, Region(x, y, side, side)) >= MIN_TISSUE_SHARE
        ]
        if not corners:
            raise SlideError(
                f"{path}: {width} x {height} px at {REFERENCE_MPP:g} um; expected at least one field of {side} x "
                f"{side} px that is mostly tissue; give a larger section"
            )
        chosen = np.linspace(0, len(corners) - 1, min(number, len(corners))).round().astype(int)
        return [slide.read_region(corners[index], (side, side), REFERENCE_MPP) for index in chosen]


def _tissue_share(overview: npt.NDArray[np.bool_], region: Region) -> float:
    """Share of tissue in a region, in pixels of 0.75 um, from the tissue mask of the overview."""
    rows, columns = (
        slice(start // OVERVIEW_SCALE, max(start // OVERVIEW_SCALE + 1, stop // OVERVIEW_SCALE))
        for start, stop in ((region.y, region.bottom), (region.x, region.right))
    )
    return float(overview[rows, columns].mean())


def simulate_pairs(histology: Sequence[str], number: int, side: int = FIELD_SIDE) -> list[SimulatedPair]:
    """Pairs simulated from H&E slides: `number` in all, the same number from each; raises as `tissue_fields`."""
    pairs: list[SimulatedPair] = []
    for index, path in enumerate(histology):
        share = number // len(histology) + (index < number % len(histology))
        for truth in tissue_fields(path, share, side) if share else []:
            name = f"{Path(path).stem}, field {len(pairs) + 1}"
            pairs.append(SimulatedPair(name, simulate(truth, SEED + len(pairs)), truth))
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
