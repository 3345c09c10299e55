"""The front desk: the only module that parses flags, prints or exits.

Exit codes: 0 done; 2 bad usage or bad input, with one line on stderr; 1 anything else, an interruption included.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeAlias

from confostain import RESEARCH_USE, __version__
from confostain.errors import ConfostainError, ConfostainWarning, OptionError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from confostain.slide import Slide
    from confostain.viewer.serving import Address

SLIDE_HELP = """\
SLIDE is a VivaScope folder (the mosaic with DET#1 and DET#2, or the scan around it), a folder with 785.png and
488.png, a two-channel OME-TIFF, or an OME-Zarr. Or give one file per channel with --reflectance and --fluorescence.
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being asked to end is as good as Ctrl-C
    try:
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings(action="always", category=ConfostainWarning):
            warnings.showwarning = _one_line_warning
            sys.exit(options.run(options))
    except ConfostainError as error:
        _say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(1)
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _say(str(error))
        sys.exit(1)


def _say(message: str) -> None:
    if sys.stderr is not None:  # it may have been closed
        print(f"confostain: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Answers bad usage with one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit."""
        _say(f"{message}; see {self.prog} --help")
        sys.exit(2)


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show what concerns the user; warnings of libraries do not."""
    if issubclass(category, ConfostainWarning):
        _say(f"warning: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="confostain",
        description=f"Digital staining of confocal microscopy. {RESEARCH_USE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="confostain COMMAND --help explains a command and gives examples.",
    )
    parser.add_argument("--version", action="version", version=f"confostain {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_info(commands)
    _add_stain(commands)
    _add_despeckle(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_view(commands)
    _add_study(commands)
    _add_models(commands)
    return parser


Commands: TypeAlias = (
    "argparse._SubParsersAction[_Parser]"  # argparse has no public name for what add_subparsers returns
)


def _command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_slide_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", nargs="?", metavar="SLIDE", help="folder or file of the slide")
    parser.add_argument("--reflectance", metavar="FILE", help="the reflectance channel, where it is a file of its own")
    parser.add_argument("--fluorescence", metavar="FILE", help="the fluorescence channel, likewise")
    parser.add_argument("--swap-channels", action="store_true", help="take reflectance for fluorescence and back")
    parser.add_argument(
        "--mpp",
        type=float,
        metavar="UM",
        help="um per pixel, where the files do not say it (VivaScope: often 0.75)",
    )


def _open_path(options: argparse.Namespace, path: Path) -> Slide:
    from confostain.slide import open_slide

    return open_slide(path, swap_channels=options.swap_channels, microns_per_pixel=options.mpp)


def _open(options: argparse.Namespace) -> Slide:
    from confostain.slide import open_slide

    return open_slide(
        options.slide,
        reflectance=options.reflectance,
        fluorescence=options.fluorescence,
        swap_channels=options.swap_channels,
        microns_per_pixel=options.mpp,
    )


@contextmanager
def _progress_bar(label: str, unit: str = "px") -> Iterator[Callable[[int, int], None]]:
    """A bar with the speed and the time left, on a terminal only."""
    from tqdm import tqdm

    hidden = sys.stderr is None or not sys.stderr.isatty()
    with tqdm(desc=label, unit=unit, unit_scale=True, disable=hidden, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


# demo ---------------------------------------------------------------------------------------------------------


def _add_demo(commands: Commands) -> None:
    parser = _command(
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

    with _progress_bar("demo") as progress:
        demo = run_demo(Path(options.folder), overwrite=options.overwrite, progress=progress)
    print(f"raw slide     {demo.scan}\nstained       {demo.stained}\nbefore/after  {demo.picture}\n{RESEARCH_USE}")
    return 0


# info ---------------------------------------------------------------------------------------------------------


def _add_info(commands: Commands) -> None:
    parser = _command(
        commands,
        "info",
        _info,
        "say what a slide is: layout, size, dtype, pixel size, tissue share, intensity range",
        SLIDE_HELP + "\nexamples:\n  confostain info scan/mosaic\n"
        "  confostain info --reflectance R.tif --fluorescence F.tif --mpp 0.75 --json",
    )
    _add_slide_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _info(options: argparse.Namespace) -> int:
    with _open(options) as slide:
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


# stain --------------------------------------------------------------------------------------------------------


def _add_stain(commands: Commands) -> None:
    parser = _command(
        commands,
        "stain",
        _stain,
        "stain a whole slide into an H&E-like pyramid that viewers open",
        SLIDE_HELP + "\nexamples:\n  confostain stain scan/mosaic -o stained.ome.tif\n"
        "  confostain stain --reflectance R.png --fluorescence F.png --mpp 0.75 -o stained.ome.tif\n"
        "  confostain stain scan/mosaic -o corner.png --region 0,0,2000,2000\n\n" + RESEARCH_USE,
    )
    _add_slide_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="the result: .ome.tif, .ome.zarr, .dcm (a folder, for a PACS), or .png for a small region",
    )
    parser.add_argument("--model", default=None, metavar="NAME", help="see `confostain models` (default: gareau)")
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
    from confostain.inference.models import DEFAULT_MODEL
    from confostain.inference.stainer import DEFAULT_TILE, stain_slide

    begin = time.perf_counter()
    with _open(options) as slide, _progress_bar("staining") as progress:
        stain_slide(
            slide,
            options.output,
            model=options.model or DEFAULT_MODEL,
            device=options.device,
            tile=DEFAULT_TILE if options.tile is None else options.tile,
            region=options.region,
            quality=None if options.lossless else options.quality,
            overwrite=options.overwrite,
            progress=progress,
        )
        width, height = options.region[2:] if options.region else slide.size
    seconds = time.perf_counter() - begin
    print(f"{options.output}: {width} x {height} px in {seconds:.1f} s ({width * height / 1e6 / seconds:.1f} Mpx/s)")
    return 0


# despeckle ----------------------------------------------------------------------------------------------------


def _add_despeckle(commands: Commands) -> None:
    parser = _command(
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
    from confostain.inference.despeckling import DEFAULT_DESPECKLER, DEFAULT_TILE, despeckle_plane
    from confostain.io.layouts import open_reflectance

    begin = time.perf_counter()
    plane = open_reflectance(options.slide, options.swap_channels)
    with _progress_bar("despeckling") as progress:
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


# train --------------------------------------------------------------------------------------------------------


def _add_train(commands: Commands) -> None:
    kinds = commands.add_parser("train", help="train a network", description="Train a network.")
    networks = kinds.add_subparsers(metavar="NETWORK", required=True)
    parser = _command(
        networks,
        "despeckler",
        _train_despeckler,
        "train a network that takes speckle out",
        "examples:\n  confostain train despeckler --config configs/despeckler.toml -o runs/despeckler\n"
        "  confostain train despeckler --config configs/despeckler.toml -o runs/despeckler --resume",
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="TOML; see the folder configs")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="the folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")


def _train_despeckler(options: argparse.Namespace) -> int:
    with _needs_extra("train"):
        from confostain.training.despeckling import train_despeckler
    with _progress_bar("training", unit=" steps") as progress:
        train_despeckler(options.config, options.output, options.resume, progress)
    print(f"{options.output}: trained")
    return 0


@contextmanager
def _needs_extra(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise OptionError(f"{error.name} is not installed; pip install 'confostain[{extra}]'") from error


# evaluate -----------------------------------------------------------------------------------------------------


def _add_evaluate(commands: Commands) -> None:
    kinds = commands.add_parser("evaluate", help="measure models", description="Measure models.")
    networks = kinds.add_subparsers(metavar="KIND", required=True)
    parser = _command(
        networks,
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
    with _needs_extra("train"):
        from confostain.evaluation.despeckling import compare_despecklers
        from confostain.evaluation.real_speckle import judge_real
    from confostain.inference.despeckling import DEFAULT_DESPECKLER
    from confostain.io.layouts import open_reflectance

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


# view ---------------------------------------------------------------------------------------------------------


def _add_view(commands: Commands) -> None:
    parser = _command(
        commands,
        "view",
        _view,
        "look at raw slides in the browser, stained wherever one looks",
        SLIDE_HELP + "\nexamples:\n  confostain view scan/mosaic\n"
        "  confostain view scan1/mosaic scan2/mosaic --histology section.svs\n  confostain view --watch scans\n\n"
        + RESEARCH_USE,
    )
    parser.add_argument("slides", nargs="*", metavar="SLIDE", help="folder or file of a slide")
    parser.set_defaults(slide=None)
    parser.add_argument("--reflectance", metavar="FILE", help="the reflectance channel, where it is a file of its own")
    parser.add_argument("--fluorescence", metavar="FILE", help="the fluorescence channel, likewise")
    parser.add_argument("--swap-channels", action="store_true", help="take reflectance for fluorescence and back")
    parser.add_argument("--mpp", type=float, metavar="UM", help="um per pixel, where the files do not say it")
    parser.add_argument("--histology", action="append", default=[], metavar="FILE", help="an H&E slide to compare with")
    parser.add_argument("--watch", action="append", default=[], metavar="DIR", help="show slides that appear in there")
    parser.add_argument("--model", metavar="NAME", help="the stain to show first; see `confostain models`")
    _add_server_arguments(parser)


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=None, metavar="N", help="default: 8765, or the next one free")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: this machine)"
    )
    parser.add_argument("--token", metavar="WORD", help="what a browser elsewhere must know (default: made up)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")


def _view(options: argparse.Namespace) -> int:
    from confostain.inference.models import DEFAULT_MODEL

    with _needs_extra("view"):
        from confostain.viewer.library import Library
        from confostain.viewer.serving import check_page, serve
    check_page()
    single = options.reflectance or options.fluorescence
    if not (options.slides or single or options.histology or options.watch):
        raise OptionError("nothing to look at: name a slide, or a folder with --watch")
    with Library(options.model or DEFAULT_MODEL) as library:
        if single:
            library.add_confocal(_open(options), Path(single))
        open_slide = partial(_open_path, options)
        for path in map(Path, options.slides):
            library.add_confocal(open_slide(path), path)
        for path in options.histology:
            library.add_histology(Path(path))
        for folder in options.watch:
            library.watch(Path(folder), open_slide)

        def create(token: str | None, is_local: bool) -> FastAPI:
            with _needs_extra("view"):
                from confostain.viewer.app import create_app
            return create_app(library, token, is_local)

        serve(create, _address(options), print)
    return 0


def _address(options: argparse.Namespace) -> Address:
    from confostain.viewer.serving import Address

    return Address(options.host, options.port, options.token, not options.no_browser)


# study --------------------------------------------------------------------------------------------------------


STUDY_HELP = """\
A protocol (paths are relative to it; microns_per_pixel and field_pixels are those of every field):

  title = "Real or stained?"
  introduction = "Say for each field what you take it for."
  seed = 1
  fields = 20                 # from each arm
  field_pixels = 512
  microns_per_pixel = 0.75
  comment = true

  [[arms]]
  name = "section"
  histology = "section.svs"

  [[arms]]
  name = "stained"
  slide = "scan/mosaic"
  model = "gareau"

  [[questions]]
  id = "real"
  text = "What is this?"
  choices = ["a real section", "digitally stained"]
  correct = { section = "a real section", stained = "digitally stained" }   # leave out for an opinion
"""


def _add_study(commands: Commands) -> None:
    parser = _command(
        commands,
        "study",
        _study,
        "have readers judge fields without knowing where they come from",
        STUDY_HELP + "\nexamples:\n  confostain study protocol.toml --reader anna --results answers.csv\n"
        "  confostain study protocol.toml --results answers.csv --summary\n\n" + RESEARCH_USE,
    )
    parser.add_argument("protocol", type=Path, metavar="FILE", help="arms, fields and questions; TOML")
    parser.add_argument("--results", type=Path, required=True, metavar="CSV", help="where answers are added")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--reader", metavar="NAME", help="who judges; the same name goes on where it stopped")
    what.add_argument(
        "--summary", action="store_true", help="print accuracy with its 95 %% interval, and kappa, as CSV"
    )
    _add_server_arguments(parser)


def _study(options: argparse.Namespace) -> int:
    from confostain.viewer.agreement import summary

    with _needs_extra("view"):
        from confostain.viewer.fields import draw_fields
        from confostain.viewer.serving import serve
        from confostain.viewer.study import Session, read_protocol, read_results
        from confostain.viewer.study_app import create_study_app
    protocol = read_protocol(options.protocol)
    if options.summary:
        _print_csv(summary(read_results(options.results)))
        return 0
    with _progress_bar("fields", unit=" fields") as progress:
        fields = draw_fields(protocol, options.protocol.parent, progress)
    session = Session(protocol, fields, options.reader, options.results)
    serve(partial(create_study_app, session), _address(options), print)
    return 0


def _print_csv(rows: list[dict[str, object]]) -> None:
    import csv

    if not rows:
        raise OptionError("no answers yet: nothing to sum up")
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


# models -------------------------------------------------------------------------------------------------------


def _add_models(commands: Commands) -> None:
    parser = _command(commands, "models", _models, "list the models at hand", "example:\n  confostain models --json")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _models(options: argparse.Namespace) -> int:
    from confostain.inference.despeckling import despecklers_at_hand
    from confostain.inference.models import models_at_hand

    entries = models_at_hand() + despecklers_at_hand()
    if options.json:
        print(json.dumps(entries, indent=2))
    else:
        for entry in entries:
            print(f"{entry['name']:16} {entry['kind']:12} {entry['description']}")
    return 0


if __name__ == "__main__":
    main()
