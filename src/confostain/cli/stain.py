"""Commands about slides: demo, info, stain, models."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from confostain import RESEARCH_USE
from confostain.cli.common import SLIDE_HELP, Commands, add_command, add_slide_arguments, open_chosen, progress_bar


def add_demo(commands: Commands) -> None:
    """Add `demo`."""
    parser = add_command(
        commands,
        "demo",
        _demo,
        "paint a phantom slide, stain it, and write a before/after picture",
        "example:\n  confostain demo\n  confostain demo somewhere --overwrite",
    )
    parser.add_argument("folder", nargs="?", default="demo", metavar="DIR", help="where to write (default: demo)")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier demo wrote")


def _demo(options: argparse.Namespace) -> int:
    from confostain.demo import run_demo

    with progress_bar("demo") as progress:
        demo = run_demo(Path(options.folder), overwrite=options.overwrite, progress=progress)
    print(f"raw slide     {demo.scan}\nstained       {demo.stained}\nbefore/after  {demo.picture}\n{RESEARCH_USE}")
    return 0


def add_info(commands: Commands) -> None:
    """Add `info`."""
    parser = add_command(
        commands,
        "info",
        _info,
        "say what a slide is: layout, size, dtype, pixel size, tissue share, intensity range",
        SLIDE_HELP + "\nexamples:\n  confostain info scan/mosaic\n"
        "  confostain info --reflectance R.tif --fluorescence F.tif --mpp 0.75 --json",
    )
    add_slide_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _info(options: argparse.Namespace) -> int:
    with open_chosen(options) as slide:
        facts = slide.facts()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            print(f"{key:{width}}  {_readable(value)}")
    return 0


def _readable(value: object) -> str:
    if value is None:
        return "unknown (give it with --mpp)"
    if isinstance(value, list):
        return " x ".join(map(str, value)) if all(isinstance(v, int) for v in value) else ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def add_stain(commands: Commands) -> None:
    """Add `stain`."""
    parser = add_command(
        commands,
        "stain",
        _stain,
        "stain a whole slide into an H&E-like pyramid that viewers open",
        SLIDE_HELP + "\nexamples:\n  confostain stain scan/mosaic -o stained.ome.tif\n"
        "  confostain stain --reflectance R.png --fluorescence F.png --mpp 0.75 -o stained.ome.tif\n"
        "  confostain stain scan/mosaic -o corner.png --region 0,0,2000,2000\n\n" + RESEARCH_USE,
    )
    add_slide_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="the result: .ome.tif, .ome.zarr, .dcm (a folder, for a PACS), or .png for a small region",
    )
    parser.add_argument(
        "--model",
        metavar="NAME_OR_DIR",
        help="one of `confostain models`, or the folder of a trained stainer (default: swift)",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where networks run")
    parser.add_argument(
        "--tile",
        type=int,
        default=None,
        metavar="N",
        help="side of the tiles computed at once; never changes a pixel",
    )
    parser.add_argument("--region", type=_region, metavar="X,Y,W,H", help="a part of the slide, in level-0 pixels")
    encoding = parser.add_mutually_exclusive_group()
    encoding.add_argument("--quality", type=int, default=90, metavar="Q", help="JPEG quality 1-100 (default: 90)")
    encoding.add_argument("--lossless", action="store_true", help="lossless instead of JPEG")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing result")


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT in whole pixels") from None
    return x, y, width, height


def _stain(options: argparse.Namespace) -> int:
    from confostain.inference.whole_slide import stain_slide
    from confostain.models.registry import DEFAULT_MODEL

    begin = time.perf_counter()
    with open_chosen(options) as slide, progress_bar("staining") as progress:
        stain_slide(
            slide,
            options.output,
            model=options.model or DEFAULT_MODEL,
            device=options.device,
            tile=options.tile,
            region=options.region,
            quality=None if options.lossless else options.quality,
            overwrite=options.overwrite,
            progress=progress,
        )
        width, height = options.region[2:] if options.region else slide.size
    seconds = time.perf_counter() - begin
    print(f"{options.output}: {width} x {height} px in {seconds:.1f} s ({width * height / 1e6 / seconds:.1f} Mpx/s)")
    return 0


def add_models(commands: Commands) -> None:
    """Add `models`."""
    parser = add_command(commands, "models", _models, "list the models at hand", "example:\n  confostain models --json")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _models(options: argparse.Namespace) -> int:
    from confostain.models.registry import list_models

    cards = list_models()
    if options.json:
        print(json.dumps([card.facts() for card in cards], indent=2))
    else:
        for card in cards:
            print(f"{card.name:16} {card.kind:12} {card.description}")
    return 0
