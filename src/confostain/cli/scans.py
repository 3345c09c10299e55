"""Arguments of commands that read several scans: slides by their paths, and scans in two files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from confostain.errors import OptionError

if TYPE_CHECKING:
    from confostain.slide import Slide


def add_scan_pairs(parser: argparse.ArgumentParser) -> None:
    """Add --reflectance and --fluorescence, which may be given several times, and --mpp."""
    for channel in ("reflectance", "fluorescence"):
        parser.add_argument(
            f"--{channel}", action="append", default=[], metavar="FILE", help=f"the {channel} of a scan in two files"
        )
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel of scans whose files do not say it")


def add_histology_mpp(parser: argparse.ArgumentParser) -> None:
    """Add --histology-mpp."""
    parser.add_argument(
        "--histology-mpp", type=float, metavar="UM", help="um per pixel of H&E that does not say it (default: 0.75)"
    )


def open_scans(
    paths: Sequence[str], options: argparse.Namespace, stack: ExitStack, swap_channels: bool = False
) -> list[Slide]:
    """Open the slides at the paths, then the scans in two files; the stack closes them.

    Raises:
        OptionError: the numbers of files for both channels differ.
        SlideError: a scan cannot be opened.
    """
    from confostain.slide import open_slide

    reflectance, fluorescence = options.reflectance, options.fluorescence
    if len(reflectance) != len(fluorescence):
        raise OptionError(
            f"{len(reflectance)} files for --reflectance and {len(fluorescence)} for --fluorescence: expected the same "
            "number of both, in the same order"
        )
    files: list[tuple[str | None, str | None, str | None]] = [(path, None, None) for path in paths]
    files += [(None, r, f) for r, f in zip(reflectance, fluorescence, strict=True)]
    return [
        stack.enter_context(
            open_slide(path, reflectance=r, fluorescence=f, microns_per_pixel=options.mpp, swap_channels=swap_channels)
        )
        for path, r, f in files
    ]
