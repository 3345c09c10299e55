"""The command `despeckle`: speckle removal from the reflectance channel of a slide, or from one grey image."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import (
    Commands,
    add_command,
    add_inference_arguments,
    add_series_argument,
    progress_bar,
    tell,
    written_line,
)

if TYPE_CHECKING:
    from confostain.slide import Slide


def add_despeckle(commands: Commands) -> None:
    """Add `despeckle`."""
    parser = add_command(
        commands,
        "despeckle",
        _despeckle,
        "take the speckle out of the reflectance channel of a slide, or out of one grey image",
        "examples:\n  confostain despeckle scan/mosaic -o clean.ome.tif\n  confostain despeckle R.png -o clean.tif\n\n"
        + RESEARCH_USE,
    )
    parser.add_argument("slide", metavar="SLIDE_OR_IMAGE", help="folder or file of a slide, or a grey image")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="the result, of the input's type and scale: .ome.tif (a pyramid), or .tif (one plain page)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME_OR_DIR",
        help="a despeckler of `confostain models`, or the folder of a trained one (default: despeckler)",
    )
    parser.add_argument("--swap-channels", action="store_true", help="take the other channel of the slide")
    add_series_argument(parser)
    add_inference_arguments(parser)


def _despeckle(options: argparse.Namespace) -> int:
    from confostain.inference.despeckle import despeckle_slide
    from confostain.models.registry import DEFAULT_DESPECKLER

    with _opened(options) as slide, progress_bar("despeckling") as progress:
        written = despeckle_slide(
            slide,
            options.output,
            model=options.model or DEFAULT_DESPECKLER,
            device=options.device,
            tile=options.tile,
            region=options.region,
            record_names=options.record_names,
            overwrite=options.overwrite,
            progress=progress,
        )
    tell(written_line(written))
    return 0


def _opened(options: argparse.Namespace) -> AbstractContextManager[Slide | str]:
    """The slide, or the path of the grey image, that the arguments name."""
    from confostain.io.readers.layouts import is_grey_image
    from confostain.slide import open_slide

    if is_grey_image(options.slide):
        return nullcontext(options.slide)
    return open_slide(options.slide, swap_channels=options.swap_channels, series=options.series)
