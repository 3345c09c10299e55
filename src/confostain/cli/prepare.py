"""Commands for training data: prepare confocal, prepare histology, prepare rank."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from confostain.cli.common import Commands, add_command, progress_bar, tell

if TYPE_CHECKING:
    from confostain.data.manifest import PreparedPatch
    from confostain.data.split import PatchPlan


def add_prepare(commands: Commands) -> None:
    """Add `prepare`."""
    summary = "extract training patches from slides, rank H&E slides by their stain, or save their stain colours"
    kinds = commands.add_parser("prepare", help=summary, description=summary[0].upper() + summary[1:] + ".")
    added = kinds.add_subparsers(metavar="KIND", required=True)
    _add_confocal(added)
    _add_histology(added)
    _add_rank(added)
    _add_colours(added)


def _add_confocal(commands: Commands) -> None:
    parser = add_command(
        commands,
        "confocal",
        _prepare_confocal,
        "extract patches of 0.75 um/px from confocal slides, scaled to [0, 1], without empty glass",
        "examples:\n  confostain prepare confocal scans/*/mosaic -o patches/confocal\n"
        "  confostain prepare confocal a/mosaic b/mosaic --validate c/mosaic -o patches/confocal",
    )
    _add_patch_arguments(parser, "SLIDE")
    parser.add_argument("--swap-channels", action="store_true", help="swap reflectance and fluorescence")


def _add_histology(commands: Commands) -> None:
    parser = add_command(
        commands,
        "histology",
        _prepare_histology,
        "extract patches of 0.75 um/px from H&E slides, without blank, inked, folded or blurred ones",
        "examples:\n  confostain prepare histology slides/*.svs -o patches/histology\n"
        "  confostain prepare histology fields/*.jpg --mpp 1.0 -o patches/histology",
    )
    _add_patch_arguments(parser, "FILE")
    parser.set_defaults(swap_channels=False)


def _add_patch_arguments(parser: argparse.ArgumentParser, metavar: str) -> None:
    parser.add_argument("slides", nargs="+", type=Path, metavar=metavar, help="slides")
    parser.add_argument(
        "--validate",
        nargs="+",
        type=Path,
        default=[],
        metavar=metavar,
        help="slides for validation; all others are then for training",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder for the patches")
    parser.add_argument("--side", type=int, default=1024, metavar="PX", help="side of a patch (default: 1024)")
    parser.add_argument(
        "--split",
        type=float,
        default=0.8,
        metavar="SHARE",
        help="share of the slides for training, without --validate (default: 0.8)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random split (default: 0)")
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel of slides that do not say it")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier preparation")


def _plan(options: argparse.Namespace) -> PatchPlan:
    from confostain.data.split import PatchPlan

    return PatchPlan(
        side=options.side,
        train_share=options.split,
        seed=options.seed,
        validate=tuple(options.validate),
        microns_per_pixel=options.mpp,
        swap_channels=options.swap_channels,
    )


def _prepare_confocal(options: argparse.Namespace) -> int:
    from confostain.data.prepare import prepare_confocal

    return _prepare(options, prepare_confocal)


def _prepare_histology(options: argparse.Namespace) -> int:
    from confostain.data.prepare import prepare_histology

    return _prepare(options, prepare_histology)


def _prepare(options: argparse.Namespace, prepare: Callable[..., list[PreparedPatch]]) -> int:
    with progress_bar("extracting", unit=" patches") as progress:
        patches = prepare(options.slides, options.output, _plan(options), options.overwrite, progress)
    tell(*_summary(options.output, patches))
    return 0


def _summary(folder: Path, patches: list[PreparedPatch]) -> list[str]:
    """Summary: number of patches and slides per split, and of patches left out by reason."""
    lines = []
    for split in ("train", "validate"):
        chosen = [patch for patch in patches if patch.split == split]
        kept, slides = sum(not patch.dropped for patch in chosen), len({patch.slide for patch in chosen})
        lines.append(f"{split:9} {kept:6} patches of {slides} slide{'s' * (slides != 1)}")
    reasons = Counter(patch.dropped for patch in patches if patch.dropped)
    lines += [f"left out  {count:6} {reason}" for reason, count in reasons.most_common()]
    return [*lines, f"{folder}: see kept.png and dropped.png"]


def _add_rank(commands: Commands) -> None:
    parser = add_command(
        commands,
        "rank",
        _rank,
        "rank H&E slides by their proportion of haematoxylin to eosin",
        "example:\n  confostain prepare rank slides/*.svs",
    )
    parser.add_argument("slides", nargs="+", type=Path, metavar="FILE", help="H&E slides")
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel of slides that do not say it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _rank(options: argparse.Namespace) -> int:
    from confostain.data.rank import rank_slides

    with progress_bar("measuring", unit=" slides") as progress:
        ranked = rank_slides(options.slides, options.mpp, progress)
    if options.json:
        records = [
            {
                "file": str(slide.path),
                "haematoxylin": None if math.isnan(slide.proportion) else slide.proportion,
                "tissue_mm2": slide.tissue_mm2,
            }
            for slide in ranked
        ]
        print(json.dumps(records, indent=2))
    else:
        tell("haematoxylin  tissue mm2  slide")
        for slide in ranked:
            tell(f"{slide.proportion:12.1%}  {slide.tissue_mm2:10.2f}  {slide.path}")
    return 0


def _add_colours(commands: Commands) -> None:
    parser = add_command(
        commands,
        "colours",
        _prepare_colours,
        "fit the stain colours of a laboratory to H&E of it, for `stain --colours-of`",
        "example:\n  confostain prepare colours our_section.svs -o ours.toml\n"
        "  confostain stain scan/mosaic -o stained.ome.tif --colours-of ours.toml",
    )
    parser.add_argument("reference", metavar="FILE", help="an H&E slide or image with nuclei and stroma")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="TOML", help="the file of the colours")
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel, if the file does not say it")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")


def _prepare_colours(options: argparse.Namespace) -> int:
    from confostain.data.reference_colours import read_stain_colours, write_stain_colours

    colours = read_stain_colours(options.reference, options.mpp)
    write_stain_colours(colours, options.output, options.overwrite)
    for name, density in (("nucleus", colours.nucleus), ("stroma", colours.stroma)):
        red, green, blue = (round(255 * 10**-value) for value in density)
        tell(f"{name:8} red {red}, green {green}, blue {blue}")
    tell(f"colours are in {options.output}")
    return 0
