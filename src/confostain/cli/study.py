"""Command `study`: a blinded reader study in the browser."""

from __future__ import annotations

import argparse
import csv
import sys
from functools import partial
from pathlib import Path

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, needs_extra, progress_bar
from confostain.cli.server_options import add_server_arguments, server_address
from confostain.errors import OptionError

PROTOCOL_HELP = """\
A protocol (paths are relative to it; microns_per_pixel and field_pixels apply to every field):

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
        "run a blinded reader study: readers judge image fields without knowing where these come from",
        PROTOCOL_HELP + "\nexamples:\n  confostain study protocol.toml --reader anna --results answers.csv\n"
        "  confostain study protocol.toml --results answers.csv --summary\n\n" + RESEARCH_USE,
    )
    parser.add_argument("protocol", type=Path, metavar="FILE", help="arms, fields and questions; TOML")
    parser.add_argument("--results", type=Path, required=True, metavar="CSV", help="file to which answers are added")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--reader", metavar="NAME", help="who judges; the same name resumes an earlier session")
    what.add_argument(
        "--summary", action="store_true", help="print accuracy with its 95 %% interval, and kappa, as CSV"
    )
    add_server_arguments(parser)


def _study(options: argparse.Namespace) -> int:
    with needs_extra("view"):
        from confostain.study.protocol import read_protocol
    protocol = read_protocol(options.protocol)
    if options.summary:
        _print_summary(options.results)
        return 0
    with needs_extra("view"):
        from confostain.study.app import create_study_app
        from confostain.study.fields import draw_fields
        from confostain.study.session import Session
        from confostain.viewer.serving import serve
    with progress_bar("fields", unit=" fields") as progress:
        fields = draw_fields(protocol, options.protocol.parent, progress)
    session = Session(protocol, fields, options.reader, options.results)
    serve(partial(create_study_app, session), server_address(options), print)
    return 0


def _print_summary(results: Path) -> None:
    from confostain.study.agreement import summary
    from confostain.study.results import read_results

    rows = summary(read_results(results))
    if not rows:
        raise OptionError(f"{results}: no answers yet; run `confostain study` with --reader first")
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
