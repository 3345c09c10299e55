"""Serves an application on this machine, or elsewhere behind a token, until it is interrupted."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from confostain.errors import OptionError

if TYPE_CHECKING:
    from fastapi import FastAPI

OPENSEADRAGON = Path(__file__).parent / "static" / "vendor" / "openseadragon.min.js"
FIRST_PORT = 8765  # nobody else's by the registry of well-known services
KEEP_ALIVE = 75  # s that an idle connection stays open: longer than people look at one place
SWITCH = 1e-3  # s that a thread which paints may hold the interpreter while an answer is ready to be sent
PORTS = 20  # tried one after the other where none is given


@dataclass(frozen=True)
class Address:
    """Where to listen, and who may come in.

    Attributes:
        host: an address or a name of this machine.
        port: None for the first one that is free; 0 for any.
        token: what a browser must know; None for none on this machine, and for a random one elsewhere.
        opens_browser: whether to show the page at once.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = None
    opens_browser: bool = True

    @property
    def is_local(self) -> bool:
        """Whether nobody else's machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def check_page() -> None:
    """Raise OptionError where the viewer's page was installed without what it is built on."""
    if not OPENSEADRAGON.is_file():
        raise OptionError(
            "OpenSeadragon is missing from this installation; expected it to be fetched by npm when confostain was"
            " installed; install npm (Debian: apt install npm) and install confostain again"
        )


def serve(create: Callable[[str | None, bool], FastAPI], address: Address, say: Callable[[str], None]) -> None:
    """Serve what `create(token, is_local)` makes until Ctrl-C; `say` gets the address.

    Raises OptionError where the address cannot be listened at.
    """
    listener = listening(address)  # first, so that whoever comes early waits instead of being refused
    token = address.token or (None if address.is_local else secrets.token_urlsafe(16))
    import uvicorn

    app = create(token, address.is_local)
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (f"?token={token}" if token else "")
    say(url)
    if address.opens_browser:
        webbrowser.open(url)
    sys.setswitchinterval(SWITCH)
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,  # streams of events never end by themselves
        lifespan="on",
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C is how people leave
        uvicorn.Server(config).run(sockets=[listener])


def listening(address: Address) -> socket.socket:
    """A socket that listens there; OptionError where that cannot be."""
    ports = [address.port] if address.port is not None else list(range(FIRST_PORT, FIRST_PORT + PORTS))
    reason = ""
    for port in ports:
        try:
            family = socket.getaddrinfo(address.host, port, type=socket.SOCK_STREAM)[0][0]
            # asyncio sends without delay only where the protocol is named; else every answer waits 40 ms for an ACK.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address.host, port))
                listener.listen(128)
            except (OSError, OverflowError):
                listener.close()
                raise
            return listener
        except (OSError, OverflowError) as error:
            reason = str(error)
    raise OptionError(
        f"{address.host}: cannot listen at port {ports[0]}{' and the next ones' if len(ports) > 1 else ''} ({reason});"
        " expected a free port of this machine; choose another with --port"
    )
