"""Commands about despecklers: despeckle, evaluate despeckler."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, needs_extra, progress_bar
from confostain.errors import OptionError


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


def add_evaluate_despeckler(kinds: Commands) -> None:
    """Add `evaluate despeckler`."""
    parser = add_command(
        kinds,
        "despeckler",
        _evaluate_despeckler,
        "compare despecklers on H&E with known noise, and judge one on a real scan",
        "examples:\n  confostain evaluate despeckler --histology section.tif -o report\n"
        "  confostain evaluate despeckler --real scan/mosaic --model runs/despeckler -o report",
    )
    parser.add_argument("--histology", nargs="+", default=[], metavar="FILE", help="H&E slides no model was trained on")
    parser.add_argument("--real", metavar="SLIDE_OR_IMAGE", help="a real reflectance scan")
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="a further despeckler, or a training's folder"
    )
    parser.add_argument("--patches", type=int, default=20, metavar="N", help="how many H&E patches (default: 20)")
    parser.add_argument("--side", type=int, default=256, metavar="PX", help="side of a patch (default: 256)")
    parser.add_argument("--no-classical", action="store_true", help="networks only; the classical methods take minutes")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="where tables and figures go")


def _evaluate_despeckler(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        from confostain.evaluation.despeckler_comparison import compare_despecklers
        from confostain.evaluation.real_scan import judge_real
    from confostain.io.readers.layouts import open_reflectance
    from confostain.models.despeckler import DEFAULT_DESPECKLER

    if not (options.histology or options.real):
        raise OptionError("nothing to measure on: give H&E slides with --histology, or a real scan with --real")
    if options.histology:
        compare_despecklers(
            options.histology,
            options.output,
            options.model,
            patches=options.patches,
            side=options.side,
            classical=not options.no_classical,
            say=print,
        )
    if options.real:
        model = options.model[-1] if options.model else DEFAULT_DESPECKLER
        print(judge_real(open_reflectance(options.real), options.output, model).text())
    print(f"tables and figures are in {options.output}")
    return 0
