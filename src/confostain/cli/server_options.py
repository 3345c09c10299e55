"""Command-line options of the web server that `view` and `study` start: port, host, token, browser."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from confostain.errors import OptionError

if TYPE_CHECKING:
    from confostain.viewer.serving import Address


TOKEN_VARIABLE = "CONFOSTAIN_TOKEN"
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~@%+-]+)+")
TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,256}")  # what stands in an address as it is


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the server listens."""
    parser.add_argument(
        "--port", type=int, metavar="N", help="port to listen at (default: the first free one from 8765)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen at (default: this machine only)"
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token",
        metavar="WORD",
        help="what a browser must present (default: a random token, where other machines can reach the page); all users"
        f" of this machine can read it in the list of processes, unlike --token-file and the variable {TOKEN_VARIABLE}",
    )
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file that holds the token alone")
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="path at which a proxy shows the page, such as /user/anna/proxy/8765 of JupyterHub; needs a token",
    )
    parser.add_argument("--hide-token", action="store_true", help="print the address without the token, as for a log")
    parser.add_argument(
        "--no-browser", action="store_true", help="do not open the page (it is never opened where a token is needed)"
    )


def server_address(options: argparse.Namespace) -> Address:
    """Address that the arguments name.

    Raises:
        OptionError: the token cannot be read or is none; or is to be hidden, and is not known to anybody; or the root
            path is no path.
    """
    from confostain.viewer.serving import Address

    root_path = options.root_path.removesuffix("/")
    if root_path and not ROOT_PATH.fullmatch(root_path):
        raise OptionError(
            f"--root-path {options.root_path!r}: not a path that a proxy shows a page at; expected one such as"
            " /user/anna/proxy/8765"
        )
    token = _token(options)
    if options.hide_token and token is None:
        raise OptionError(
            f"--hide-token: no token is given, and nobody could know a random one; give it by --token-file or the"
            f" variable {TOKEN_VARIABLE}"
        )
    shows_token, opens_browser = not options.hide_token, not options.no_browser
    return Address(options.host, options.port, token, shows_token, opens_browser, root_path)


def _token(options: argparse.Namespace) -> str | None:
    """The token of --token, --token-file or the environment; messages do not repeat it."""
    word, where = options.token, "--token"
    if options.token_file is not None:
        word, where = _content(options.token_file), str(options.token_file)
    elif word is None:
        word, where = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    if word is not None and not TOKEN.fullmatch(word):
        raise OptionError(f"{where}: not a token; expected 1 to 256 letters, digits, - . _ or ~ and nothing else")
    return word


def _content(path: Path) -> str:
    """The text of a file without the end of its line."""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(1000).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror}); expected a file with the token") from error
