"""Commands that open a page in the browser: view, study."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import SLIDE_HELP, Commands, add_command, needs_extra, open_chosen, open_path, progress_bar
from confostain.errors import OptionError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from confostain.viewer.serving import Address


def add_view(commands: Commands) -> None:
    """Add `view`."""
    parser = add_command(
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
    parser.add_argument(
        "--model",
        metavar="NAME_OR_DIR",
        help="the stain to show first: see `confostain models`, or a trained one's folder",
    )
    _add_server_arguments(parser)


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=None, metavar="N", help="default: 8765, or the next one free")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: this machine)"
    )
    parser.add_argument("--token", metavar="WORD", help="what a browser elsewhere must know (default: made up)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open nothing")


def _view(options: argparse.Namespace) -> int:
    from confostain.models.registry import DEFAULT_MODEL

    with needs_extra("view"):
        from confostain.viewer.library import Library
        from confostain.viewer.serving import check_page, serve
    check_page()
    single = options.reflectance or options.fluorescence
    if not (options.slides or single or options.histology or options.watch):
        raise OptionError("nothing to look at: name a slide, or a folder with --watch")
    with Library(options.model or DEFAULT_MODEL) as library:
        if single:
            library.add_confocal(open_chosen(options), Path(single))
        open_slide = partial(open_path, options)
        for path in map(Path, options.slides):
            library.add_confocal(open_slide(path), path)
        for path in options.histology:
            library.add_histology(Path(path))
        for folder in options.watch:
            library.watch(Path(folder), open_slide)

        def create(token: str | None, is_local: bool) -> FastAPI:
            with needs_extra("view"):
                from confostain.viewer.app import create_app
            return create_app(library, token, is_local)

        serve(create, _address(options), print)
    return 0


def _address(options: argparse.Namespace) -> Address:
    from confostain.viewer.serving import Address

    return Address(options.host, options.port, options.token, not options.no_browser)


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


def add_study(commands: Commands) -> None:
    """Add `study`."""
    parser = add_command(
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
    from confostain.study.agreement import summary

    with needs_extra("view"):
        from confostain.study.app import create_study_app
        from confostain.study.fields import draw_fields
        from confostain.study.protocol import Session, read_protocol, read_results
        from confostain.viewer.serving import serve
    protocol = read_protocol(options.protocol)
    if options.summary:
        _print_csv(summary(read_results(options.results)))
        return 0
    with progress_bar("fields", unit=" fields") as progress:
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
