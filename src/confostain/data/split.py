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
from confostain.data.cut import Cutter
from confostain.data.manifest import Split
from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region

SMALLEST_SIDE = 64  # px

Opener = Callable[[Path], Cutter]


@dataclass(frozen=True)
class PatchPlan:
    """What patches are wanted, and how slides are split."""

    side: int = 1024  # px of 0.75 um
    train_share: float = 0.8  # of the slides; the others are for validation
    seed: int = 0  # decides which slides these are
    validate: tuple[Path, ...] = ()  # further slides, for validation; then nothing is drawn
    microns_per_pixel: float | None = None  # of slides that do not say it
    swap_channels: bool = False  # confocal: take what would be reflectance for fluorescence, and back

    def __post_init__(self) -> None:
        """Refuse what cannot be followed."""
        if self.side < SMALLEST_SIDE:
            raise OptionError(f"patches of {self.side} px: expected a side of at least {SMALLEST_SIDE}")
        if not 0 < self.train_share <= 1:
            raise OptionError(f"split {self.train_share:g}: expected a share of the slides above 0, and at most 1")


@dataclass(frozen=True)
class Scan:
    """What is known of a slide before it is cut."""

    path: Path
    name: str
    sources: tuple[str, ...]
    sha256: tuple[str, ...]
    places: tuple[Region, ...]  # in pixels of 0.75 um
    split: Split = "train"


def survey(opened: Opener, slides: Sequence[Path], plan: PatchPlan) -> list[Scan]:
    """Look at all slides of a plan, and give each its side and a name of its own.

    Raises:
        SlideError: one cannot be read, or is there twice.
    """
    return _split(_surveyed(opened, slides, plan), _surveyed(opened, plan.validate, plan), plan)


def _surveyed(opened: Opener, slides: Sequence[Path], plan: PatchPlan) -> list[Scan]:
    scans = []
    for path in slides:
        with closing(opened(path)) as cutter:
            places = _places(cutter.size, plan.side)
            if not places:
                warnings.warn(
                    f"{path}: {cutter.size[0]} x {cutter.size[1]} px at {REFERENCE_MPP} um/px, smaller than one "
                    f"patch of {plan.side}; nothing is cut from it; give a smaller --side",
                    ConfostainWarning,
                    stacklevel=5,
                )
            sha256 = tuple(_sha256(file) for file in cutter.paths)
            scans.append(Scan(path, _safe(cutter.name), cutter.sources, sha256, places))
    return scans


def _places(size: tuple[int, int], side: int) -> tuple[Region, ...]:
    """Squares side by side, row by row, as many as fit."""
    rows, columns = (range(0, length - side + 1, side) for length in reversed(size))
    return tuple(Region(x, y, side, side) for y in rows for x in columns)


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "slide"


def _sha256(path: Path) -> str:
    """Of a file, or of all files in a folder with their names."""
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            told = "".join(f"{file.relative_to(path).as_posix()} {_sha256(file)}\n" for file in files)
            return hashlib.sha256(told.encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); check the file") from error


def _split(slides: list[Scan], validate: list[Scan], plan: PatchPlan) -> list[Scan]:
    """All slides, each on its side and under a name of its own."""
    _refuse_twice((*slides, *validate))
    if not validate:
        slides, validate = _drawn(slides, plan)
    scans = [
        *(replace(scan, split="train") for scan in slides),
        *(replace(scan, split="validate") for scan in validate),
    ]
    named: dict[str, Scan] = {}
    for scan in scans:
        names = (scan.name if number == 1 else f"{scan.name}-{number}" for number in count(1))
        name = next(name for name in names if name not in named)
        named[name] = replace(scan, name=name)
    return list(named.values())


def _refuse_twice(scans: Sequence[Scan]) -> None:
    seen: dict[str, Path] = {}
    for scan in scans:
        for digest in scan.sha256:
            if digest in seen:
                raise SlideError(f"{scan.path}: is the same as {seen[digest]}, byte for byte; give each slide once")
        seen |= dict.fromkeys(scan.sha256, scan.path)


def _drawn(slides: list[Scan], plan: PatchPlan) -> tuple[list[Scan], list[Scan]]:
    """Draw the slides for validation; the order in which slides were given does not matter."""
    if len(slides) == 1 and plan.train_share < 1:
        warnings.warn(
            "one slide cannot be split, all its patches are for training; give others with --validate",
            ConfostainWarning,
            stacklevel=5,
        )
    if len(slides) == 1 or plan.train_share == 1:
        return slides, []
    number = min(max(round(plan.train_share * len(slides)), 1), len(slides) - 1)
    known = sorted(slides, key=lambda scan: scan.sha256)
    train = {known[index].path for index in np.random.default_rng(plan.seed).permutation(len(known))[:number]}
    return [scan for scan in slides if scan.path in train], [scan for scan in slides if scan.path not in train]
