"""Web server of an application: on this machine only, or on a network with a token."""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
import webbrowser
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from confostain.errors import OptionError

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from fastapi import FastAPI

    from confostain.viewer.connections import ConnectionLimits
    from confostain.viewer.guard import AccessRules

OPENSEADRAGON = Path(__file__).parent / "static" / "vendor" / "openseadragon.min.js"
FIRST_PORT = 8765  # not registered for another service
PORTS = 20  # tried one after the other if none is given
KEEP_ALIVE = 75  # s that an idle connection stays open: longer than a user looks at one view
SWITCH_INTERVAL = 1e-3  # s that a thread which stains may hold the interpreter while a response waits to be sent


@dataclass(frozen=True)
class Address:
    """Address of the server, and access to it.

    Attributes:
        host: an address or a name of this machine.
        port: None for the first free one from FIRST_PORT on; 0 for any free one.
        token: what clients must present; None for nothing on this machine, and for a random token elsewhere.
        shows_token: whether the address that is announced holds the token.
        opens_browser: whether the page is opened at once, where no token is needed: one would be an argument of the
            browser, and those can be read by every user of the machine.
        root_path: path at which a proxy shows the page, such as "/user/anna/proxy/8765"; "" without a proxy.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = None
    shows_token: bool = True
    opens_browser: bool = True
    root_path: str = ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: never behind a proxy."""
        if self.root_path:
            return False
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def check_page(openseadragon: Path = OPENSEADRAGON) -> None:
    """Raise OptionError if OpenSeadragon, which the viewer's page needs, is not installed."""
    if not openseadragon.is_file():
        raise OptionError(
            "OpenSeadragon is missing from this installation; expected it to be fetched by npm when confostain was"
            " installed; install npm (Debian: apt install npm) and install confostain again"
        )


def serve(create: Callable[[AccessRules], FastAPI], address: Address, announce: Callable[[str], None]) -> None:
    """Serve the application that `create` returns until Ctrl-C; `announce` is called with its URL.

    Raises OptionError if the server cannot listen at the address.
    """
    listener = listening(address)  # first, so that early requests wait instead of being refused
    from confostain.viewer.guard import AccessRules

    token = address.token or (None if address.is_local else secrets.token_urlsafe(16))
    app = create(AccessRules(token, address.is_local, address.root_path))
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}{address.root_path}/"
    announce(f"{url}?token={token}" if token and address.shows_token else url)
    if address.opens_browser and not token:
        webbrowser.open(url)
    sys.setswitchinterval(SWITCH_INTERVAL)
    server = http_server(app)
    _end_with_terminal(server)
    with suppress(KeyboardInterrupt):  # the usual way to stop the server
        server.run(sockets=[listener])


def http_server(app: FastAPI, limits: ConnectionLimits | None = None) -> uvicorn.Server:
    """An HTTP server of the application, whose connections stay within `limits`."""
    import uvicorn

    from confostain.viewer.connections import ConnectionLimits, Connections, LimitedHttp

    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(LimitedHttp, Connections(limits or ConnectionLimits()))),
        ws="none",
        log_level="error",  # of warnings there is one for each invalid request
        server_header=False,
        backlog=128,  # connections accepted at a time, before there is a chance to close one
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,  # streams of events do not end by themselves
        lifespan="on",
    )
    logging.getLogger("uvicorn.error").addFilter(_is_fault)
    return uvicorn.Server(config)


def _end_with_terminal(server: uvicorn.Server) -> None:
    """End the server when its terminal is closed, as by Ctrl-C; not where `nohup` has that signal ignored."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: setattr(server, "should_exit", True))


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether uvicorn logs something else than that requests are cancelled when the server ends."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, CancelledError) and not record.getMessage().startswith("Cancel ")


def listening(address: Address) -> socket.socket:
    """A socket that listens at the address; OptionError if that is impossible."""
    ports = [address.port] if address.port is not None else list(range(FIRST_PORT, FIRST_PORT + PORTS))
    reason = ""
    for port in ports:
        try:
            family = socket.getaddrinfo(address.host, port, type=socket.SOCK_STREAM)[0][0]
            # asyncio switches Nagle's algorithm off only if the protocol is named; else responses wait 40 ms for ACKs.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            if os.name == "posix":  # elsewhere it would let two servers listen at one port
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
