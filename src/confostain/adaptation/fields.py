"""Fields of scans for an adaptation: squares of tissue, apart for training and for judging.

Each scan is cut across its longer side: fields on one side of the cut train, those on the other side judge. A scan that
no model should be adapted to is refused: without tissue, without nuclei, with swapped channels, or out of focus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from confostain.arrays import Image, Pair
from confostain.data.manifest import PreparedPatch, write_confocal, write_manifest
from confostain.data.split import source_sha256
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.imaging.channels import NUCLEI_ASYMMETRY, blob_asymmetry, look_swapped
from confostain.imaging.intensity import range_share
from confostain.imaging.patch_quality import sharpness
from confostain.inference.reduced_slide import reduced
from confostain.io.writers.atomic import PartialFolder
from confostain.models.card import ModelCard
from confostain.slide import Slide

Field = TypeVar("Field")

SIDE = 256  # px, of a field
HELD_BACK = 1 / 3  # of the fields, at least: they judge, and nothing is trained on them
MOST = 96  # fields of a scan
LEAST = 2  # fields for training, and for judging
MOSTLY_TISSUE = 0.7  # share of a field

# Measured on two skins and a prostate: the fluorescence 0.32 to 0.88, after a Gaussian of 1 px 0.25 to 0.27, of 1.5 px
# 0.22, of 3 px 0.17.
MIN_SHARPNESS = 0.2


@dataclass(frozen=True, eq=False)
class ScanFields:
    """Fields of one scan.

    Attributes:
        name: "scan 1" and so on: names of files may hold a patient's.
        sha256: of the files of the scan, in their order.
        microns_per_pixel: of the fields.
        train, held_back: float32 (2, 256, 256) in [0, 1] each, R then F.
        raw_train, raw_held_back: their reflectance as a despeckler is given it, float32 (256, 256), not clipped at 1;
            none where the fields are means of blocks of pixels, as the stainer sees a fine scan: means have another
            speckle.
    """

    name: str
    sha256: tuple[str, ...]
    microns_per_pixel: float
    train: list[Pair]
    held_back: list[Pair]
    raw_train: list[Image]
    raw_held_back: list[Image]


def fields_of(slide: Slide, card: ModelCard, name: str) -> ScanFields:
    """Fields of a scan as a model sees them: reduced, where the card says so.

    Raises:
        SlideError: the scan is coarser than the model takes, has too little tissue, or should not be adapted to.
    """
    microns = slide.microns_per_pixel
    if microns is None:
        raise SlideError(f"{slide.name}: its pixel size is unknown; give it with --mpp")
    if card.refuses(microns):
        raise SlideError(
            f"{slide.name}: {microns:g} um/px; {card.name} takes up to {card.coarsest:g}; give a finer scan"
        )
    factor = card.reduction(microns)
    view = reduced(slide, factor)
    squares = [
        square
        for square in Region(0, 0, *view.size).tiles(Size(SIDE, SIDE))
        if square.size == (SIDE, SIDE)
        and view.tissue.coverage(square).mean() >= MOSTLY_TISSUE
        and view.not_scanned(square) is None
    ]
    train, held_back = _split(squares, across=view.size[0] >= view.size[1])
    if min(len(train), len(held_back)) < LEAST:
        raise SlideError(
            f"{slide.name}: {len(squares)} squares of {SIDE} px with tissue; expected at least {LEAST} on either side"
            " of a cut across the scan; give a scan with more tissue"
        )
    fields = [[view.read(square) for square in chosen] for chosen in (train, held_back)]
    refuse_unfit(slide.name, np.stack(fields[0] + fields[1]))
    sha256 = tuple(source_sha256(path) for path in slide.files.paths)
    raw = [[_raw(slide, square) for square in chosen if factor == 1] for chosen in (train, held_back)]
    return ScanFields(name, sha256, factor * microns, *fields, *raw)


def _raw(slide: Slide, square: Region) -> Image:
    return range_share(slide.reflectance_plane.read(square), slide.ranges[0])


def _split(squares: Sequence[Region], across: bool) -> tuple[list[Region], list[Region]]:
    """Squares before and from a cut on, which leaves at least a third behind it; at most MOST, at even distances."""
    places = sorted({square.x if across else square.y for square in squares})
    if len(places) < 2:
        return list(squares), []
    behind = np.array([sum((s.x if across else s.y) >= place for s in squares) for place in places[1:]])
    cut = places[1:][int(np.flatnonzero(behind >= min(HELD_BACK * len(squares), behind[0]))[-1])]
    sides = (
        [square for square in squares if ((square.x if across else square.y) >= cut) == late] for late in (False, True)
    )
    first, second = map(spread, sides, (round(MOST * (1 - HELD_BACK)), round(MOST * HELD_BACK)))
    return first, second


def spread(fields: Sequence[Field], number: int) -> list[Field]:
    """At most `number` of the fields, at even distances."""
    chosen = np.linspace(0, len(fields) - 1, min(number, len(fields))).round().astype(int)
    return [fields[index] for index in chosen]


def refuse_unfit(name: str, fields: Pair) -> None:
    """Refuse a scan, (n, 2, h, w), that a model would learn nothing good from.

    Raises:
        SlideError: it shows no nuclei, its channels look swapped, or it is out of focus.
    """
    reflectance, fluorescence = fields[:, 0], fields[:, 1]
    if look_swapped(reflectance, fluorescence):
        raise SlideError(
            f"{name}: its channels look swapped: the reflectance shows nuclei, the fluorescence none; nothing can be"
            " learnt from that; give the files the other way round, or --swap-channels"
        )
    asymmetry = blob_asymmetry(fluorescence)
    if asymmetry < NUCLEI_ASYMMETRY:
        raise SlideError(
            f"{name}: its fluorescence shows no nuclei as small bright blobs ({asymmetry:.2f}; expected at least"
            f" {NUCLEI_ASYMMETRY:g}): empty, inverted, far out of focus or another dye; give another scan"
        )
    sharp = float(np.median([sharpness(field) for field in fluorescence]))
    if sharp < MIN_SHARPNESS:
        raise SlideError(
            f"{name}: its fluorescence is out of focus (sharpness {sharp:.2f}; expected at least {MIN_SHARPNESS:g}); a"
            " model would learn to blur; give a scan in focus"
        )


def write_fields(scans: Sequence[ScanFields], folder: Path) -> None:
    """Write the fields for training as a folder of prepared patches, complete or not at all."""
    with PartialFolder(folder, overwrite=False) as output:
        (output.partial / "train").mkdir()
        patches = []
        for scan in scans:
            for index, pair in enumerate(scan.train):
                file = Path("train") / f"{scan.name.replace(' ', '-')}_{index:04}.ome.tif"
                write_confocal(output.partial / file, pair, scan.microns_per_pixel)
                patches.append(
                    PreparedPatch(
                        file=file,
                        kind="confocal",
                        split="train",
                        slide=scan.name,
                        sources=(),
                        sha256=scan.sha256,
                        level0_xy=(0, 0),
                        scale=1.0,
                        microns_per_pixel=scan.microns_per_pixel,
                        side=SIDE,
                        tissue_share=1.0,
                    )
                )
        write_manifest(output.partial, patches)
        output.complete()
