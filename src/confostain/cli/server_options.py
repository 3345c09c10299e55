"""Command-line options of the web server that `view` and `study` start: port, host, token, browser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confostain.viewer.serving import Address


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the server listens."""
    parser.add_argument(
        "--port", type=int, metavar="N", help="port to listen at (default: the first free one from 8765)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen at (default: this machine only)"
    )
    parser.add_argument(
        "--token", metavar="WORD", help="what a browser on another machine must present (default: a random token)"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address, do not open the page")


def server_address(options: argparse.Namespace) -> Address:
    """Address that the arguments name."""
    from confostain.viewer.serving import Address

    return Address(options.host, options.port, options.token, not options.no_browser)
