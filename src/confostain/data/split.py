"""Split of slides into training and validation, and the positions of their patches."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from confostain.arrays import REFERENCE_MPP
from confostain.data.manifest import Split
from confostain.data.patch_extractor import PatchExtractor
from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region, Size

SMALLEST_SIDE = 64  # px

OpenExtractor = Callable[[Path], PatchExtractor]


@dataclass(frozen=True)
class PatchPlan:
    """Settings of a patch extraction.

    Attributes:
        side: of a patch in pixels of 0.75 um.
        train_share: share of the slides that are for training; the others are for validation.
        seed: of the random split.
        validate: further slides, for validation; then there is no random split.
        microns_per_pixel: pixel size in um of slides that do not say it.
        swap_channels: for confocal slides, whether the channels are swapped.
    """

    side: int = 1024
    train_share: float = 0.8
    seed: int = 0
    validate: tuple[Path, ...] = ()
    microns_per_pixel: float | None = None
    swap_channels: bool = False

    def __post_init__(self) -> None:
        if self.side < SMALLEST_SIDE:
            raise OptionError(f"patches of {self.side} px: expected a side of at least {SMALLEST_SIDE}; give --side")
        if not 0 < self.train_share <= 1:
            raise OptionError(f"split {self.train_share:g}: expected a share above 0 and at most 1; give --split")


@dataclass(frozen=True)
class PlannedSlide:
    """Slide with the positions of its patches and its split.

    Attributes:
        path: of the slide.
        name: unique among the slides.
        sources: names of its files.
        sha256: hashes of these files.
        patch_regions: positions of the patches, in pixels of 0.75 um.
        split: train or validate.
    """

    path: Path
    name: str
    sources: tuple[str, ...]
    sha256: tuple[str, ...]
    patch_regions: tuple[Region, ...]
    split: Split = "train"


def plan_slides(open_extractor: OpenExtractor, slides: Sequence[Path], plan: PatchPlan) -> list[PlannedSlide]:
    """Slides of a plan, each with its split, a unique name and the positions of its patches.

    Raises:
        SlideError: a slide cannot be read, or is given twice.
    """
    return _split(_describe(open_extractor, slides, plan), _describe(open_extractor, plan.validate, plan), plan)


def _describe(open_extractor: OpenExtractor, slides: Sequence[Path], plan: PatchPlan) -> list[PlannedSlide]:
    described = []
    for path in slides:
        with closing(open_extractor(path)) as extractor:
            regions = _patch_regions(extractor.size, plan.side)
            if not regions:
                warnings.warn(
                    f"{path}: {extractor.size[0]} x {extractor.size[1]} px at {REFERENCE_MPP} um/px, smaller than one "
                    f"patch of {plan.side}; it gives no patches; give a smaller --side",
                    ConfostainWarning,
                    stacklevel=5,
                )
            sha256 = tuple(source_sha256(file) for file in extractor.paths)
            described.append(PlannedSlide(path, _file_name(extractor.name), extractor.sources, sha256, regions))
    return described


def _patch_regions(size: Size, side: int) -> tuple[Region, ...]:
    """Squares side by side, row by row, as many as fit."""
    return tuple(region for region in size.region.tiles(Size(side, side)) if region.size == (side, side))


def _file_name(name: str) -> str:
    """Name of a slide with characters that are safe in file names."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "slide"


def source_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of all files in a folder."""
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            listing = "".join(f"{file.relative_to(path).as_posix()} {source_sha256(file)}\n" for file in files)
            return hashlib.sha256(listing.encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); check the file") from error


def _split(slides: list[PlannedSlide], validate: list[PlannedSlide], plan: PatchPlan) -> list[PlannedSlide]:
    """All slides, each with its split and a unique name."""
    _refuse_duplicates((*slides, *validate))
    if not validate:
        slides, validate = _random_split(slides, plan)
    assigned = [
        *(replace(slide, split="train") for slide in slides),
        *(replace(slide, split="validate") for slide in validate),
    ]
    named: dict[str, PlannedSlide] = {}
    for slide in assigned:
        names = (slide.name if number == 1 else f"{slide.name}-{number}" for number in count(1))
        name = next(name for name in names if name not in named)
        named[name] = replace(slide, name=name)
    return list(named.values())


def _refuse_duplicates(slides: Sequence[PlannedSlide]) -> None:
    seen: dict[str, Path] = {}
    for slide in slides:
        for digest in slide.sha256:
            if digest in seen:
                raise SlideError(f"{slide.path}: is the same as {seen[digest]}, byte for byte; give each slide once")
        seen |= dict.fromkeys(slide.sha256, slide.path)


def _random_split(slides: list[PlannedSlide], plan: PatchPlan) -> tuple[list[PlannedSlide], list[PlannedSlide]]:
    """Slides for training and for validation, drawn at random; their order does not matter."""
    if len(slides) == 1 and plan.train_share < 1:
        warnings.warn(
            "one slide cannot be split, all its patches are for training; give others with --validate",
            ConfostainWarning,
            stacklevel=5,
        )
    if len(slides) == 1 or plan.train_share == 1:
        return slides, []
    number = min(max(round(plan.train_share * len(slides)), 1), len(slides) - 1)
    known = sorted(slides, key=lambda slide: slide.sha256)
    train = {known[index].path for index in np.random.default_rng(plan.seed).permutation(len(known))[:number]}
    return [slide for slide in slides if slide.path in train], [slide for slide in slides if slide.path not in train]
