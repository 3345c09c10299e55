"""What stainers are judged on: pairs simulated from real H&E, which have a truth; real scans; real H&E to look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from confostain.arrays import REFERENCE_MPP, Pair, Rgb
from confostain.errors import OptionError, SlideError
from confostain.evaluation.distribution_metrics import Looks
from confostain.geometry import Region, Size
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.linear_stain import gareau
from confostain.io.readers.histology import open_histology
from confostain.simulation.from_histology import simulate
from confostain.slide import Slide

SIDE = 512  # px, of a field of H&E
TISSUE = 0.7  # least share of a field
OVERVIEW = 16  # px that make one of the overview in which tissue is looked for
WINDOW = 2048  # px, at most, of a real scan
REFERENCES = 60  # fields of real H&E, at most
SEED = 2019


@dataclass(frozen=True, eq=False)
class Simulated:
    """What the microscope would have seen, float32 (2, h, w), of what the truth shows, uint8 (h, w, 3)."""

    name: str
    pair: Pair
    truth: Rgb


@dataclass(frozen=True, eq=False)
class Scan:
    """A window of a real scan: float32 (2, h, w), and its Gareau image, against which others are measured."""

    slide: Slide
    window: Region
    pair: Pair
    linear: Rgb
    looks: Looks  # of the Gareau image

    @property
    def name(self) -> str:
        """What a reader may call it."""
        return name_of(self.slide)

    @property
    def microns_per_pixel(self) -> float:
        """The slide's, or 0.75 where it is not known."""
        return self.slide.microns_per_pixel or REFERENCE_MPP


@dataclass(frozen=True, eq=False)
class Material:
    """All of it.

    Attributes:
        simulated: pairs with truth.
        scans: windows of real scans, each with a name of its own.
        references: fields of real H&E, slide by slide, from top to bottom.
        looks: of the references.
    """

    simulated: list[Simulated]
    scans: list[Scan]
    references: list[Rgb]
    looks: Looks


def gathered(
    histology: Sequence[str], slides: Sequence[Slide], references: Sequence[str], patches: int, side: int
) -> Material:
    """Read, simulate and stain what models are to be judged on.

    Args:
        histology: H&E slides to simulate pairs from.
        slides: real scans.
        references: real H&E; by default `histology`.
        patches: how many simulated pairs.
        side: of these, in pixels.

    Raises:
        OptionError: nothing to judge on, no pair wanted, or two scans of one name. SlideError: a slide cannot be read.
    """
    if not (histology or slides):
        raise OptionError("nothing to judge on: give H&E slides to simulate pairs from (--histology), or real scans")
    if not (histology or references):
        raise OptionError("no real H&E: give some for the stains to be compared with (--reference)")
    if patches < 1:
        raise OptionError(f"{patches} simulated pairs: expected at least one")
    names = [name_of(slide) for slide in slides]
    if len(set(names)) < len(names):
        raise OptionError(f"scans called {', '.join(names)}: expected a name each; rename a file or folder")
    real = references or histology
    fields = [view for path in real for view in tissue_fields(path, max(2, REFERENCES // len(real)), side)]
    return Material(simulated(histology, patches, side), [scan_of(slide) for slide in slides], fields, Looks.of(fields))


def tissue_fields(path: str | Path, number: int, side: int = SIDE) -> list[Rgb]:
    """Fields of an H&E slide at 0.75 um/px that are mostly tissue, from top to bottom, evenly from all there are.

    Raises:
        SlideError: the file cannot be read, or no field of that side has enough tissue.
    """
    with open_histology(path, REFERENCE_MPP) as slide:
        width, height = slide.size_at(REFERENCE_MPP)
        coarse = REFERENCE_MPP * OVERVIEW
        overview = slide.read_region((0, 0), slide.size_at(coarse), coarse)
        tissue = tissue_mask(overview)
        corners = [
            (x, y)
            for y in range(0, height - side + 1, side)
            for x in range(0, width - side + 1, side)
            if _covered(tissue, Region(x, y, side, side)) >= TISSUE
        ]
        if not corners:
            raise SlideError(
                f"{path}: {width} x {height} px at {REFERENCE_MPP:g} um; expected at least one field of {side} x "
                f"{side} px that is mostly tissue; give a larger section"
            )
        chosen = np.linspace(0, len(corners) - 1, min(number, len(corners))).round().astype(int)
        return [slide.read_region(corners[index], (side, side), REFERENCE_MPP) for index in chosen]


def _covered(tissue: npt.NDArray[np.bool_], region: Region) -> float:
    """The share of tissue in a region, in pixels of 0.75 um, read off the overview."""
    rows, columns = (
        slice(start // OVERVIEW, max(start // OVERVIEW + 1, stop // OVERVIEW))
        for start, stop in ((region.y, region.bottom), (region.x, region.right))
    )
    return float(tissue[rows, columns].mean())


def simulated(histology: Sequence[str], number: int, side: int = SIDE) -> list[Simulated]:
    """Pairs with truth from H&E slides: `number` in all, as many from each; raises as `tissue_fields`."""
    fields: list[Simulated] = []
    for index, path in enumerate(histology):
        share = number // len(histology) + (index < number % len(histology))
        for truth in tissue_fields(path, share, side) if share else []:
            name = f"{Path(path).stem}, field {len(fields) + 1}"
            fields.append(Simulated(name, simulate(truth, SEED + len(fields)), truth))
    return fields


def name_of(slide: Slide) -> str:
    """The slide's name; of a pair of files that of their folder, since `R` and `F` say nothing."""
    return slide.paths[0].resolve().parent.name if slide.layout == "file pair" else slide.name


def scan_of(slide: Slide) -> Scan:
    """What is judged of a real scan; SlideError where it cannot be read."""
    window = window_of(slide)
    pair = slide.read(window)
    linear = gareau(pair)
    return Scan(slide, window, pair, linear, Looks.of([linear]))


def window_of(slide: Slide) -> Region:
    """Where a scan is judged: all of it, or the 2048 x 2048 px with most tissue."""
    size = Size(*slide.size)
    width, height = min(size.width, WINDOW), min(size.height, WINDOW)
    cell = slide.tissue.cell
    rows, columns = -(-height // cell), -(-width // cell)
    density = ndimage.uniform_filter(slide.tissue.cells.astype(np.float32), (rows, columns), mode="constant")
    row, column = np.unravel_index(int(density.argmax()), density.shape)
    x, y = (int(index - cells // 2) * cell for index, cells in ((column, columns), (row, rows)))
    return Region(min(max(x, 0), size.width - width), min(max(y, 0), size.height - height), width, height)
