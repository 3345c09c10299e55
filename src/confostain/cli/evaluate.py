"""The commands `evaluate despeckler` and `evaluate stainer`: metrics on H&E, simulated pairs and real scans."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, needs_extra, say, tell
from confostain.cli.scans import add_histology_mpp, add_scan_pairs, open_scans
from confostain.errors import OptionError


def add_evaluate_despeckler(kinds: Commands) -> None:
    """Add `evaluate despeckler`."""
    parser = add_command(
        kinds,
        "despeckler",
        _evaluate_despeckler,
        "compare despecklers on H&E with simulated speckle, and evaluate one on a real scan",
        "With --histology writes despecklers.md, .json and .png into DIR, with --real real.json and real.png. The\n"
        "last one shows the scan: where its licence forbids to pass it on, do not pass on the picture.\n\n"
        "examples:\n  confostain evaluate despeckler --histology section.tif -o report\n"
        "  confostain evaluate despeckler --real scan/mosaic --model runs/despeckler -o report\n\n" + RESEARCH_USE,
    )
    _add_histology(parser)
    parser.add_argument("--real", metavar="SLIDE_OR_IMAGE", help="a real reflectance scan")
    _add_model(parser, "despeckler")
    parser.add_argument("--patches", type=int, default=20, metavar="N", help="number of H&E patches (default: 20)")
    parser.add_argument("--side", type=int, default=256, metavar="PX", help="side of a patch (default: 256)")
    parser.add_argument("--no-classical", action="store_true", help="networks only; the classical methods take minutes")
    _add_output(parser)


def _evaluate_despeckler(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        from confostain.evaluation.classical_despeckling import CLASSICAL_METHODS
        from confostain.evaluation.despeckler_comparison import compare_despecklers
        from confostain.evaluation.despeckler_real_scan import evaluate_on_real_scan
    from confostain.io.readers.layouts import open_reflectance
    from confostain.models.registry import DEFAULT_DESPECKLER

    if not (options.histology or options.real):
        raise OptionError("no data: give H&E slides with --histology, or a real scan with --real")
    if options.histology:
        classical = () if options.no_classical else CLASSICAL_METHODS
        compare_despecklers(
            options.histology,
            options.output,
            options.model,
            patches=options.patches,
            side=options.side,
            classical=[method for method in classical if method.is_installed],
            report=tell,
        )
        for method in classical:
            if not method.is_installed:
                say(f"{method.name} was left out: {method.module} is not installed")
    if options.real:
        model = options.model[-1] if options.model else DEFAULT_DESPECKLER
        tell(*evaluate_on_real_scan(open_reflectance(options.real), options.output, model).text().splitlines())
    tell(f"tables and figures are in {options.output}")
    return 0


def add_evaluate_stainer(kinds: Commands) -> None:
    """Add `evaluate stainer`."""
    parser = add_command(
        kinds,
        "stainer",
        _evaluate_stainer,
        "compare stainers with the closed forms: with truth on simulated pairs, without truth on real scans",
        "Writes DIR/index.html, a page without other files, and DIR/stainers.json. The page shows the scans: where\n"
        "their licence forbids to pass them on, do not pass on the page. docs/fidelity.md explains the metrics and\n"
        "their limits.\n\nexamples:\n"
        "  confostain evaluate stainer --histology section.tif --model runs/stainer -o report\n"
        "  confostain evaluate stainer --real scan/mosaic --reference section.tif --model cyclegan -o report\n"
        "  confostain evaluate stainer --reflectance R.jpg --fluorescence F.jpg --mpp 0.75 --reference he.tif -o out\n"
        "  confostain evaluate stainer --histology tiles/case1 tiles/case2 --histology-mpp 0.55 -o report\n"
        "\n" + RESEARCH_USE,
    )
    _add_histology(parser)
    parser.add_argument("--real", nargs="+", default=[], metavar="SLIDE", help="real scans: folders or files of slides")
    add_scan_pairs(parser)
    parser.add_argument(
        "--reference",
        nargs="+",
        default=[],
        metavar="FILE",
        help="real H&E, slides or folders of pictures: stains are compared with the first, as are the others with it "
        "(default: that of --histology)",
    )
    add_histology_mpp(parser)
    _add_model(parser, "stainer")
    parser.add_argument("--patches", type=int, default=20, metavar="N", help="number of simulated pairs (default: 20)")
    _add_output(parser)


def add_evaluate_colours(kinds: Commands) -> None:
    """Add `evaluate colours`."""
    parser = add_command(
        kinds,
        "colours",
        _evaluate_colours,
        "measure how near stains in a laboratory's colours come to its H&E",
        "Writes DIR/index.html and DIR/colours.json. The page shows the scans and the H&E.\n\nexample:\n"
        "  confostain evaluate colours --real scan/mosaic --reference a.svs b.svs -o report\n\n" + RESEARCH_USE,
    )
    parser.add_argument("--real", nargs="+", default=[], metavar="SLIDE", help="real scans: folders or files of slides")
    add_scan_pairs(parser)
    parser.add_argument(
        "--reference", nargs="+", required=True, metavar="FILE", help="H&E, or folders of pictures of one slide each"
    )
    parser.add_argument("--model", default=None, metavar="NAME_OR_DIR", help="a stainer of densities (default: swift)")
    _add_output(parser)


def _evaluate_colours(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        import skimage  # noqa: F401

        from confostain.evaluation.colour_transfer import evaluate_colours
    from confostain.models.registry import DEFAULT_MODEL

    with ExitStack() as stack:
        scans = open_scans(options.real, options, stack)
        if not scans:
            raise OptionError("no scan: give some with --real, or --reflectance and --fluorescence")
        model = options.model or DEFAULT_MODEL
        evaluate_colours(options.output, model, scans, options.reference, report=tell)
    tell(f"page and figures are in {options.output}")
    return 0


def _evaluate_stainer(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        import skimage  # noqa: F401  metrics need it; checked here, not after an hour of staining

        from confostain.arrays import REFERENCE_MPP
        from confostain.evaluation.stainer_comparison import evaluate_stainers

    with ExitStack() as stack:
        scans = open_scans(options.real, options, stack)
        evaluate_stainers(
            options.output,
            options.model,
            histology=options.histology,
            scans=scans,
            references=options.reference,
            patches=options.patches,
            histology_mpp=options.histology_mpp or REFERENCE_MPP,
            report=tell,
        )
    tell(f"page and figures are in {options.output}")
    return 0


def _add_histology(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--histology",
        nargs="+",
        default=[],
        metavar="FILE",
        help="H&E slides that no model was trained on; for stainers also folders of pictures of one slide each",
    )


def _add_model(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME_OR_DIR", help=f"a further {kind}, or the folder of a run"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="folder of the results")
