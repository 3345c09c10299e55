"""Command `adapt`: shipped models adapted to one's own scanner, without truth."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, needs_extra, progress_bar, say, tell
from confostain.cli.scans import add_histology_mpp, add_scan_pairs, open_scans
from confostain.errors import OptionError

EPILOG = (
    "Writes a folder that works wherever a model does: --model DIR for stain and view, --model DIR/despeckler for\n"
    "despeckle; and DIR/index.html, which shows fields before and after, held back from the training. A model that is\n"
    "not better on these is kept as it was, and the page says why. The scans stay where they are; the card names\n"
    "their SHA-256. The page shows the scans: where their licence forbids to pass them on, do not pass on the page.\n\n"
    "examples:\n"
    "  confostain adapt monday/mosaic tuesday/mosaic -o my-scanner\n"
    "  confostain adapt monday/mosaic -o my-scanner --histology our_section.svs     # in our laboratory's colours\n"
    "  confostain adapt monday/mosaic -o my-scanner --resume                        # after a break\n"
    "  confostain stain wednesday/mosaic --model my-scanner -o stained.ome.tif\n\n" + RESEARCH_USE
)


def add_adapt(commands: Commands) -> None:
    """Add `adapt`."""
    parser = add_command(
        commands, "adapt", _adapt, "adapt a stainer and a despeckler to your scanner, without truth", EPILOG
    )
    parser.add_argument("scans", nargs="*", metavar="SCAN", help="raw scans of one scanner: folders or files of slides")
    add_scan_pairs(parser)
    parser.add_argument(
        "--swap-channels", action="store_true", help="the channels of the scans are the other way round"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder of the adapted models")
    parser.add_argument("--model", metavar="NAME_OR_DIR", help="stainer to begin with (default: swift)")
    parser.add_argument("--despeckler", metavar="NAME_OR_DIR", help="despeckler to begin with (default: despeckler)")
    parser.add_argument(
        "--histology",
        nargs="+",
        default=[],
        type=Path,
        metavar="FILE",
        help="your own H&E, slides or folders of pictures: pairs are simulated from it too, and the adapted stainer"
        " stains in the colours of the first",
    )
    add_histology_mpp(parser)
    parser.add_argument("--steps", type=int, metavar="N", help="steps of either training (default: 600)")
    parser.add_argument("--resume", action="store_true", help="go on with an adaptation that was broken off")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier adaptation")


def _adapt(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        import skimage  # noqa: F401  the second audit needs it; checked here, not after the training

        from confostain.adaptation.adapt import adapt
        from confostain.adaptation.histology import AdaptationHistology
        from confostain.adaptation.work import AdaptationPlan
    chosen = {name: getattr(options, name) for name in ("model", "despeckler", "steps")}
    plan = AdaptationPlan(
        histology=AdaptationHistology(tuple(options.histology), options.histology_mpp),
        **{name: value for name, value in chosen.items() if value is not None},
    )
    with ExitStack() as stack:
        slides = open_scans(options.scans, options, stack, options.swap_channels)
        if not slides:
            raise OptionError("no scan: give some, as folders or files, or with --reflectance and --fluorescence")
        with progress_bar("adapting", unit=" steps") as progress:
            verdicts = adapt(
                slides,
                options.output,
                plan,
                resume=options.resume,
                overwrite=options.overwrite,
                progress=progress,
                say=say,
            )
    tell(*verdicts, f"{options.output}: the models and {options.output / 'index.html'}, the page to look at")
    return 0
