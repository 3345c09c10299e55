"""The command `despeckle`: speckle removal from the reflectance channel of a slide, or from one grey image."""

from __future__ import annotations

import argparse
import time

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, progress_bar


def add_despeckle(commands: Commands) -> None:
    """Add `despeckle`."""
    parser = add_command(
        commands,
        "despeckle",
        _despeckle,
        "take the speckle out of the reflectance channel of a slide, or out of one grey image",
        "examples:\n  confostain despeckle scan/mosaic -o clean.tif\n  confostain despeckle R.png -o clean.tif\n\n"
        + RESEARCH_USE,
    )
    parser.add_argument("slide", metavar="SLIDE_OR_IMAGE", help="folder or file of a slide, or a grey image")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="the result: .tif, of the input's type and scale"
    )
    parser.add_argument("--model", metavar="NAME", help="a despeckler of `confostain models`, or a training's folder")
    parser.add_argument("--tile", type=int, metavar="N", help="side of the squares computed at once; changes no pixel")
    parser.add_argument("--swap-channels", action="store_true", help="take the other channel of the slide")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing result")


def _despeckle(options: argparse.Namespace) -> int:
    from confostain.inference.despeckle import DEFAULT_TILE, despeckle_plane
    from confostain.io.readers.layouts import open_reflectance
    from confostain.models.despeckler import DEFAULT_DESPECKLER

    begin = time.perf_counter()
    plane = open_reflectance(options.slide, options.swap_channels)
    with progress_bar("despeckling") as progress:
        despeckle_plane(
            plane,
            options.output,
            model=options.model or DEFAULT_DESPECKLER,
            tile=DEFAULT_TILE if options.tile is None else options.tile,
            overwrite=options.overwrite,
            progress=progress,
        )
    plane.close()
    seconds, size = time.perf_counter() - begin, plane.size
    speed = f"{size.pixels / 1e6 / seconds:.2f} Mpx/s"
    print(f"{options.output}: {size.width} x {size.height} px in {seconds:.1f} s ({speed})")
    return 0
