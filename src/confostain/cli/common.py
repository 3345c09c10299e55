"""Parts shared by all commands: parsers, arguments of slides and of inference, progress, result lines, errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from confostain.errors import OptionError

if TYPE_CHECKING:
    from confostain.inference.result import Written
    from confostain.slide import Slide

SLIDE_HELP = """\
SLIDE is a VivaScope folder (the mosaic with DET#1 and DET#2, or the scan around it), a folder with 785.png and
488.png, a two-channel OME-TIFF, or an OME-Zarr. Or give one file per channel with --reflectance and --fluorescence.
"""


def say(message: str) -> None:
    """Print one line on stderr."""
    if sys.stderr is not None:  # it may have been closed
        print(f"confostain: {escaped(message)}", file=sys.stderr)


def tell(*lines: str) -> None:
    """Print lines on stdout."""
    for line in lines:
        print(escaped(line))


def escaped(text: str) -> str:
    """Text in one line: control characters and undecodable bytes of file names as backslash escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class Parser(argparse.ArgumentParser):
    """Answers bad usage with one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit."""
        say(f"{message}; see {self.prog} --help")
        sys.exit(2)


Commands: TypeAlias = (
    "argparse._SubParsersAction[Parser]"  # argparse has no public name for what add_subparsers returns
)


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command with its summary and examples; `run` is what it does."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_group(commands: Commands, name: str, summary: str) -> Commands:
    """Add a command that comes in several kinds, and return where these are added."""
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    return parser.add_subparsers(metavar="KIND", required=True)


def add_slide_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name one slide."""
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
    add_series_argument(parser)
    add_range_argument(parser)
    add_register_argument(parser)


def add_register_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that aligns the channels."""
    parser.add_argument(
        "--register", action="store_true", help="move the fluorescence onto the reflectance where both are displaced"
    )


def add_range_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that sets the intensity range of a channel."""
    parser.add_argument(
        "--range",
        action="append",
        default=[],
        type=_range,
        metavar="C=LOW,HIGH",
        help="stored values of a channel that become 0 and 1, instead of measured ones: reflectance=100,40000;"
        " may be given for both channels",
    )


def _range(text: str) -> tuple[str, tuple[float, float]]:
    channel, _, values = text.partition("=")
    try:
        low, high = (float(value) for value in values.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not CHANNEL=LOW,HIGH, such as reflectance=100,40000") from None
    return channel, (low, high)


def _ranges(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    ranges = dict(options.range)
    if len(ranges) < len(options.range):
        raise OptionError("--range is given twice for one channel; expected once for each")
    return ranges


def add_series_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that chooses an image of a file."""
    parser.add_argument(
        "--series", type=int, metavar="N", help="number of the image, from 0, in a file of several (default: largest)"
    )


def add_inference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of commands that compute an image tile by tile."""
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where networks run")
    parser.add_argument(
        "--tile", type=int, metavar="N", help="side of the tiles computed at once, in pixels; never changes a pixel"
    )
    parser.add_argument("--region", type=_region, metavar="X,Y,W,H", help="a part of the slide, in level-0 pixels")
    parser.add_argument(
        "--record-names",
        action="store_true",
        help="write the names of the slide and its files, which may hold a patient's, into the result",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing result")


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT in whole pixels") from None
    return x, y, width, height


def written_line(written: Written) -> str:
    """One line about a result: path, size, seconds and speed."""
    size, seconds = written.size, written.seconds
    speed = f"{size.pixels / 1e6 / seconds:.3g} Mpx/s"
    line = f"{written.path}: {size.width} x {size.height} px in {seconds:.1f} s ({speed})"
    if written.reduction > 1:
        line += f", reduced by {written.reduction} to {written.microns_per_pixel:g} um/px"
    return line


def open_path(options: argparse.Namespace, path: Path) -> Slide:
    """Open the slide at `path` with the options given."""
    from confostain.slide import open_slide

    return open_slide(
        path,
        swap_channels=options.swap_channels,
        microns_per_pixel=options.mpp,
        series=options.series,
        ranges=_ranges(options),
        register=options.register,
    )


def open_chosen(options: argparse.Namespace) -> Slide:
    """Open the slide that the arguments name."""
    from confostain.slide import open_slide

    return open_slide(
        options.slide,
        reflectance=options.reflectance,
        fluorescence=options.fluorescence,
        swap_channels=options.swap_channels,
        microns_per_pixel=options.mpp,
        series=options.series,
        ranges=_ranges(options),
        register=options.register,
    )


@contextmanager
def progress_bar(label: str, unit: str = "px") -> Iterator[Callable[[int, int], None]]:
    """A bar with the speed and the time left, on a terminal only."""
    from tqdm import tqdm

    hidden = sys.stderr is None or not sys.stderr.isatty()
    with tqdm(desc=label, unit=unit, unit_scale=True, disable=hidden, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Say which extra to install where something imported in here is missing."""
    try:
        yield
    except ImportError as error:
        raise OptionError(f"{error.name} is not installed; pip install 'confostain[{extra}]'") from error
