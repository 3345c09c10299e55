"""Command line: the only package that parses flags, prints or exits.

Exit codes: 0 done; 2 bad usage or bad input, with one line on stderr; 1 anything else, an interruption included.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

from confostain import RESEARCH_USE, __version__
from confostain.cli.adapt import add_adapt
from confostain.cli.common import Parser, add_group, say
from confostain.cli.despeckle import add_despeckle
from confostain.cli.evaluate import add_evaluate_colours, add_evaluate_despeckler, add_evaluate_stainer
from confostain.cli.prepare import add_prepare
from confostain.cli.release import add_release
from confostain.cli.stain import add_demo, add_info, add_models, add_stain
from confostain.cli.study import add_study
from confostain.cli.train import add_train
from confostain.cli.view import add_view
from confostain.errors import ConfostainError, ConfostainWarning

OUT_OF_MEMORY = ("out of memory", "not enough memory", "bad_alloc")  # as PyTorch and OpenVINO say it


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # which tells where it keeps its list of fonts
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr does so anyway; and either may have been closed
        sys.stdout.reconfigure(errors="backslashreplace")
    _interrupt_when_asked_to_end()
    try:
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings(action="always", category=ConfostainWarning):
            warnings.showwarning = _one_line_warning
            sys.exit(options.run(options))
    except ConfostainError as error:
        say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(1)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error).lower() for words in OUT_OF_MEMORY):
            raise
        say("out of memory; close other programs, or give --tile, or the batch of a recipe, a smaller number")
        sys.exit(1)
    except OSError as error:
        if not _can_write_temporary_files():
            say("no folder for temporary files can be written to; expected one; name it by the variable TMPDIR")
            sys.exit(2)
        say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        sys.exit(1)


def _can_write_temporary_files() -> bool:
    try:
        return bool(tempfile.gettempdir())
    except FileNotFoundError:
        return False


def _interrupt_when_asked_to_end() -> None:
    """Treat SIGTERM, and SIGHUP of a closed terminal unless nohup ignores it, like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


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
        say(f"warning: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="confostain",
        description=f"Digital staining of confocal microscopy. {RESEARCH_USE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="confostain COMMAND --help explains a command and gives examples.",
    )
    parser.add_argument("--version", action="version", version=f"confostain {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_demo(commands)
    add_info(commands)
    add_stain(commands)
    add_despeckle(commands)
    add_prepare(commands)
    add_train(commands)
    add_adapt(commands)
    add_release(commands)
    evaluate = add_group(commands, "evaluate", "measure models")
    add_evaluate_despeckler(evaluate)
    add_evaluate_stainer(evaluate)
    add_evaluate_colours(evaluate)
    add_view(commands)
    add_study(commands)
    add_models(commands)
    return parser
