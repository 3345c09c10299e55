"""HTTP connections of the server within limits: their number, bytes and seconds of a request, bodies received at once.

Where there are too many, nobody is refused: the one that has been silent longest while the server waited for the rest
of a request, or for the next one, is closed. Browsers open a closed connection again when they need it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_CONNECTIONS = 512


def _half_of_descriptors() -> int:
    """Half of the files that this process may have open, the other half being for slides; at most MOST_CONNECTIONS."""
    if sys.platform == "win32":  # has no such limit
        return MOST_CONNECTIONS
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of all connections together, and of each request.

    Attributes:
        connections: open at once.
        bodies: of requests, being received at once.
        head_bytes: of the request line and the headers; browsers send about 2 kB.
        head_seconds: s from the first byte of a request, or from the connection, to the end of the headers.
        body_seconds: s from there to the end of the body.
    """

    connections: int = field(default_factory=_half_of_descriptors)
    bodies: int = 8
    head_bytes: int = 32 << 10
    head_seconds: float = 10.0
    body_seconds: float = 60.0


class Connections:
    """All connections of a server: those that wait for their client, and those in the midst of a body.

    Both are in the order of their last byte, the one silent longest first.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: set[LimitedHttp] = set()
        self._waiting: OrderedDict[LimitedHttp, None] = OrderedDict()
        self._bodies: OrderedDict[LimitedHttp, None] = OrderedDict()

    def add(self, connection: LimitedHttp) -> None:
        """Take in a new connection, which waits for its client."""
        self._open.add(connection)
        self.wait(connection)
        if len(self._open) > self.limits.connections:
            self._close(next(iter(self._waiting)))

    def remove(self, connection: LimitedHttp) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self.work(connection)

    def wait(self, connection: LimitedHttp) -> None:
        """Note that the client has to do something next."""
        self._waiting[connection] = None

    def begin_body(self, connection: LimitedHttp) -> None:
        """Note that the client has to send a body next."""
        self._bodies[connection] = None
        if len(self._bodies) > self.limits.bodies:
            self._close(next(iter(self._bodies)))

    def work(self, connection: LimitedHttp) -> None:
        """Note that the server has to do something next."""
        self._waiting.pop(connection, None)
        self._bodies.pop(connection, None)

    def hear(self, connection: LimitedHttp) -> None:
        """Note that bytes have come."""
        for queue in (self._waiting, self._bodies):
            if connection in queue:
                queue.move_to_end(connection)

    def _close(self, connection: LimitedHttp) -> None:
        self.remove(connection)
        connection.transport.abort()


class LimitedHttp(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol within the limits of `Connections`."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        """Take `options` from uvicorn."""
        super().__init__(**options)
        self._all = connections
        self._head_bytes: int | None = 0  # so far; None after the headers
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._all.add(self)
        self._set_deadline(self._all.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget this connection."""
        self._set_deadline(None)
        self._all.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is too much."""
        self._all.hear(self)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._set_deadline(self._all.limits.head_seconds)
        super().data_received(data)
        if (self._head_bytes or 0) > self._all.limits.head_bytes:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        """Begin to answer, or to wait for the body."""
        if self.cycle is not None and not self.cycle.response_complete:  # browsers never send two requests at once
            self.transport.abort()
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._all.limits.head_bytes:
            self._refuse_head()
            return
        self._head_bytes = None
        super().on_headers_complete()
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers):
            self._all.begin_body(self)
            self._set_deadline(self._all.limits.body_seconds)

    def on_message_complete(self) -> None:
        """Note that the client has sent everything."""
        if self._head_bytes is None:
            self._set_deadline(None)
            if not self.cycle.response_complete:
                self._all.work(self)
            self._head_bytes = 0
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that was refused."""
        self._all.wait(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        self._all.wait(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on as before."""
        super().resume_writing()
        if self.cycle is not None and not self.cycle.response_complete:
            self._all.work(self)

    def _refuse_head(self) -> None:
        self._head_bytes = 0
        self.send_400_response(f"the request line and headers exceed {self._all.limits.head_bytes} bytes")

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
