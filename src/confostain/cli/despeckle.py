"""Commands about despecklers: despeckle, evaluate despeckler."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import (
    Commands,
    add_command,
    add_inference_arguments,
    needs_extra,
    progress_bar,
    written_line,
)
from confostain.errors import OptionError

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
            overwrite=options.overwrite,
            progress=progress,
        )
    print(written_line(written))
    return 0


def _opened(options: argparse.Namespace) -> AbstractContextManager[Slide | str]:
    """The slide, or the path of the grey image, that the arguments name."""
    from confostain.io.readers.layouts import is_grey_image
    from confostain.slide import open_slide

    if is_grey_image(options.slide):
        return nullcontext(options.slide)
    return open_slide(options.slide, swap_channels=options.swap_channels)


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
    parser.add_argument("--no-classical", action="store_true", help="networks only; BM3D takes minutes")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="where tables and figures go")


def _evaluate_despeckler(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        from confostain.evaluation.despeckler_comparison import compare_despecklers
        from confostain.evaluation.real_scan import judge_real
    from confostain.io.readers.layouts import open_reflectance
    from confostain.models.registry import DEFAULT_DESPECKLER

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
