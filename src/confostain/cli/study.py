"""Command `study`: a blinded reader study in the browser."""

from __future__ import annotations

import argparse
import csv
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from confostain import RESEARCH_USE
from confostain.cli.common import Commands, add_command, needs_extra, progress_bar
from confostain.cli.server_options import add_server_arguments, server_address
from confostain.errors import OptionError

if TYPE_CHECKING:
    from confostain.study.protocol import Protocol

PROTOCOL_HELP = """\
A protocol (paths are relative to it; microns_per_pixel and field_pixels apply to every field):

  title = "Real or stained?"
  introduction = "Say for each field what you take it for."
  seed = 1
  fields = 20                     # from each arm; an arm may have a number of its own
  field_pixels = 512
  microns_per_pixel = 0.75
  screen_microns_per_pixel = 0.5  # scale on the screen at first; readers may magnify, which is logged
  rounds = 2                      # with a pause between them, and accuracy for each
  readings = 2                    # all fields again, in another order,
  washout_days = 14               # so many days after the last answer of the first reading
  comment = true

  [[arms]]
  name = "section"
  histology = "section.svs"
  region = [0, 0, 40000, 30000]   # x, y, width, height in level-0 pixels; leave out for the whole slide

  [[arms]]
  name = "stained"
  slide = "scan/mosaic"
  model = "gareau"
  modality = "gareau"             # what is compared, if several arms show the same; the name by default

  [[arms]]
  name = "training section"
  histology = "other.svs"
  training = true                 # comes first, with feedback, and counts for nothing
  explanation = "Nuclei have sharp borders."

  [[questions]]
  id = "real"
  text = "What is this?"
  choices = ["a real section", "digitally stained"]
  positive = "digitally stained"  # for sensitivity, specificity and --mrmc: choices from negative to positive
  [questions.correct]             # leave out for an opinion
  section = "a real section"
  stained = "digitally stained"
  "training section" = "a real section"

  [[questions]]
  id = "quality"
  text = "How well can you read it?"
  choices = ["not at all", "badly", "fairly", "well", "very well"]
  ordinal = true                  # steps of a scale: agreement is weighted, too
"""


def add_study(commands: Commands) -> None:
    """Add `study`."""
    parser = add_command(
        commands,
        "study",
        _study,
        "run a blinded reader study: readers judge image fields without knowing where these come from",
        PROTOCOL_HELP + "\nexamples:\n  confostain study protocol.toml --reader anna --results answers.csv\n"
        "  confostain study protocol.toml --results answers.csv --summary\n"
        "  confostain study protocol.toml --results answers.csv --mrmc > mrmc.csv\n\n" + RESEARCH_USE,
    )
    parser.add_argument("protocol", type=Path, metavar="FILE", help="arms, fields and questions; TOML")
    parser.add_argument("--results", type=Path, required=True, metavar="CSV", help="file to which answers are added")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--reader", metavar="NAME", help="who judges; the same name, in any case, resumes")
    what.add_argument(
        "--summary",
        action="store_true",
        help="print accuracy, sensitivity, specificity, agreement and kappa with 95 %% intervals, as CSV",
    )
    what.add_argument(
        "--mrmc",
        action="store_true",
        help="print readerID, caseID, modalityID, score and truth of each answer as CSV, for multi-reader"
        " multi-case analysis",
    )
    add_server_arguments(parser)


def _study(options: argparse.Namespace) -> int:
    with needs_extra("view"):
        from confostain.study.protocol import read_protocol
    protocol = read_protocol(options.protocol)
    if options.summary or options.mrmc:
        _print_report(protocol, options.results, is_summary=options.summary)
        return 0
    with needs_extra("view"):
        from confostain.study.app import create_study_app
        from confostain.study.fields import draw_fields
        from confostain.study.session import Session, reader_name
        from confostain.viewer.serving import serve
    reader = reader_name(options.reader)  # refused before fields are drawn, which takes minutes
    with progress_bar("fields", unit=" fields") as progress:
        fields = draw_fields(protocol, options.protocol.parent, progress)
    session = Session(protocol, fields, reader, options.results)
    serve(partial(create_study_app, session), server_address(options), print)
    return 0


def _print_report(protocol: Protocol, results: Path, *, is_summary: bool) -> None:
    from confostain.study.results import read_answers
    from confostain.study.summary import mrmc_rows, summary

    answers = read_answers(results, protocol)
    rows = (summary if is_summary else mrmc_rows)(protocol, answers)
    if not rows:
        raise OptionError(f"{results}: no answers yet; run `confostain study` with --reader first")
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
