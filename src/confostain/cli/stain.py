"""Commands about slides: demo, info, stain, models."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import (
    SLIDE_HELP,
    Commands,
    add_command,
    add_inference_arguments,
    add_slide_arguments,
    needs_extra,
    open_chosen,
    progress_bar,
    tell,
    written_line,
)

if TYPE_CHECKING:
    from confostain.imaging.stain_colours import StainColours
    from confostain.models.card import ModelCard

DYES = "haematoxylin", "eosin"  # imaging.stain_colours.DYES, whose import would load NumPy for every command

SCALE_HELP = """\
A slide finer than what a network was trained for (`confostain models`) is reduced by a whole factor k: each pixel of
the result is stained from the mean of k x k pixels, and as large as these. --region, in pixels of the slide, is then
grown to whole blocks. A slide much coarser than that is warned of, or refused.
"""


def add_demo(commands: Commands) -> None:
    """Add `demo`."""
    parser = add_command(
        commands,
        "demo",
        _demo,
        "paint a phantom slide, stain it, and write pictures of it and of a sample simulated from H&E",
        "example:\n  confostain demo\n  confostain demo somewhere --overwrite",
    )
    parser.add_argument("folder", nargs="?", default="demo", metavar="DIR", help="where to write (default: demo)")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier demo wrote")


def _demo(options: argparse.Namespace) -> int:
    from confostain.demo import run_demo

    with progress_bar("demo") as progress:
        demo = run_demo(Path(options.folder), overwrite=options.overwrite, progress=progress)
    tell(
        f"raw slide     {demo.scan}",
        f"stained       {demo.stained}",
        f"before/after  {demo.picture}",
        f"sample        {demo.sample}  (simulated from H&E, beside the true H&E)",
        RESEARCH_USE,
    )
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
    from confostain.io.readers.results import find_result

    result = find_result(Path(options.slide)) if options.slide else None
    if result is not None:
        facts: dict[str, object] = {"what": f"a result of confostain: {result.label}", **result.provenance}
    else:
        with open_chosen(options) as slide:
            facts = slide.facts()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            tell(f"{key:{width}}  {_readable(value)}")
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
        "  confostain stain scan/mosaic -o corner.png --region 0,0,2000,2000\n"
        "  confostain stain scan/mosaic -o ours.ome.tif --colours-of our_section.svs\n\n"
        + SCALE_HELP
        + "\n"
        + RESEARCH_USE,
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
    parser.add_argument(
        "--colours-of",
        metavar="H_AND_E",
        help="an H&E slide of your laboratory, or colours saved by `prepare colours` (.toml): stain in its colours",
    )
    parser.add_argument(
        "--density",
        choices=DYES,
        help="write the density of one dye instead of colours (float32, 1 for a typical nucleus or stroma; .ome.tif)",
    )
    add_inference_arguments(parser)
    encoding = parser.add_mutually_exclusive_group()
    encoding.add_argument("--quality", type=int, default=90, metavar="Q", help="JPEG quality 1-100 (default: 90)")
    encoding.add_argument("--lossless", action="store_true", help="lossless instead of JPEG")
    parser.add_argument(
        "--ome-zarr",
        choices=["0.4", "0.5"],
        default="0.4",
        help="version of .ome.zarr: 0.4, which most programs read, or 0.5, few files of many tiles (default: 0.4)",
    )


def _stain(options: argparse.Namespace) -> int:
    from confostain.inference.stain import stain_slide
    from confostain.models.registry import DEFAULT_MODEL

    colours = _colours_of(options.colours_of) if options.colours_of else None
    with open_chosen(options) as slide, progress_bar("staining") as progress:
        written = stain_slide(
            slide,
            options.output,
            model=options.model or DEFAULT_MODEL,
            device=options.device,
            tile=options.tile,
            region=options.region,
            quality=None if options.lossless else options.quality,
            ome_zarr=options.ome_zarr,
            colours=colours,
            density=options.density,
            record_names=options.record_names,
            overwrite=options.overwrite,
            progress=progress,
        )
    tell(written_line(written))
    return 0


def _colours_of(reference: str) -> StainColours:
    from confostain.data.reference_colours import read_stain_colours

    with needs_extra("view"):  # it holds OpenSlide, which most formats of H&E are read by
        return read_stain_colours(reference)


def add_models(commands: Commands) -> None:
    """Add `models`."""
    parser = add_command(
        commands, "models", _models, "list the models and what their cards say", "example:\n  confostain models --json"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _models(options: argparse.Namespace) -> int:
    from confostain.models.registry import list_models

    cards = list_models()
    if options.json:
        print(json.dumps([card.facts() for card in cards], indent=2))
    else:
        for card in cards:
            tell(f"{card.name:16} {card.kind:12} {card.description}{_scale_of(card)}")
    return 0


def _scale_of(card: ModelCard) -> str:
    """What a card says of pixel sizes, to follow its description."""
    if card.microns_per_pixel is None:
        return ""
    low, high = card.microns_per_pixel
    if not card.spans_scales:
        return f"; for {low:g} um/px" if low == high else f"; for {low:g} to {high:g} um/px"
    finer = "; finer slides are reduced" if card.task == "stain" else ""
    return f"; for {low:g} to {high:g} um/px{finer}; above {card.coarsest:g} um/px it is refused"
