"""Commands about stainers: evaluate stainer."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, needs_extra
from confostain.errors import OptionError

if TYPE_CHECKING:
    from confostain.slide import Slide


def add_evaluate_stainer(kinds: Commands) -> None:
    """Add `evaluate stainer`."""
    parser = add_command(
        kinds,
        "stainer",
        _evaluate_stainer,
        "compare stainers with the closed forms: with truth on simulated pairs, without on real scans",
        "Writes DIR/index.html, one page that needs no other file, and DIR/stainers.json. The page shows the scans:\n"
        "where their licence forbids to pass them on, it must stay where it is. What each figure can and cannot say\n"
        "is in docs/fidelity.md.\n\nexamples:\n"
        "  confostain evaluate stainer --histology section.tif --model runs/stainer -o report\n"
        "  confostain evaluate stainer --real scan/mosaic --reference section.tif --model cyclegan -o report\n"
        "  confostain evaluate stainer --reflectance R.jpg --fluorescence F.jpg --mpp 0.75 --reference he.tif -o out\n"
        "\n" + RESEARCH_USE,
    )
    parser.add_argument("--histology", nargs="+", default=[], metavar="FILE", help="H&E slides no model was trained on")
    parser.add_argument("--real", nargs="+", default=[], metavar="SLIDE", help="real scans: folders or files of slides")
    for channel in ("reflectance", "fluorescence"):
        parser.add_argument(
            f"--{channel}", action="append", default=[], metavar="FILE", help=f"the {channel} of a scan in two files"
        )
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel of scans that do not say it")
    parser.add_argument(
        "--reference",
        nargs="+",
        default=[],
        metavar="FILE",
        help="real H&E to look like (default: that of --histology)",
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME_OR_DIR", help="a further stainer, or a training's folder"
    )
    parser.add_argument("--patches", type=int, default=20, metavar="N", help="how many simulated pairs (default: 20)")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="where page and figures go")


def _evaluate_stainer(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        import skimage  # noqa: F401  measures need it; better said before an hour of staining than after

        from confostain.evaluation.stainer_comparison import evaluate_stainers

    with ExitStack() as opened:
        scans = [opened.enter_context(slide) for slide in _opened(options)]
        evaluate_stainers(
            options.output,
            options.model,
            histology=options.histology,
            scans=scans,
            references=options.reference,
            patches=options.patches,
            say=print,
        )
    print(f"page and figures are in {options.output}")
    return 0


def _opened(options: argparse.Namespace) -> list[Slide]:
    from confostain.slide import open_slide

    reflectance, fluorescence = options.reflectance, options.fluorescence
    if len(reflectance) != len(fluorescence):
        raise OptionError(
            f"{len(reflectance)} files for --reflectance and {len(fluorescence)} for --fluorescence: expected as many "
            "of both, in one order"
        )
    slides = [open_slide(path, microns_per_pixel=options.mpp) for path in options.real]
    pairs = zip(reflectance, fluorescence, strict=True)
    return slides + [open_slide(reflectance=r, fluorescence=f, microns_per_pixel=options.mpp) for r, f in pairs]
