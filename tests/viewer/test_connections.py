"""What clients of the server can do to its connections."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import httpx
import pytest
from fastapi import FastAPI

from confostain.viewer.app import create_app
from confostain.viewer.connections import ConnectionLimits
from confostain.viewer.guard import AccessRules
from confostain.viewer.library import Library

HEAD = b"GET /api/slides HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"PUT /api/slides/x/annotations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n[1"
SLOW = ConnectionLimits(head_seconds=60, body_seconds=60)
CLOSED = b""  # what a closed connection sends


class Server:
    """A server within limits, and raw connections to it."""

    def __init__(self, stack: ExitStack, client: httpx.Client) -> None:
        self._stack = stack
        self.client = client

    def send(self, data: bytes) -> socket.socket:
        """A new connection that sends this."""
        address = (self.client.base_url.host, self.client.base_url.port)
        connection = self._stack.enter_context(socket.create_connection(address, timeout=60))
        connection.sendall(data)
        return connection

    def answers(self) -> bool:
        """Whether a new connection is served."""
        return httpx.get(f"{self.client.base_url}/api/slides").status_code == 200


@pytest.fixture
def start(
    library: Library, serve: Callable[..., AbstractContextManager[httpx.Client]]
) -> Iterator[Callable[[ConnectionLimits], Server]]:
    with ExitStack() as stack:
        app: FastAPI = create_app(library, AccessRules())
        yield lambda limits: Server(stack, stack.enter_context(serve(app, limits)))


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


Start = Callable[[ConnectionLimits], Server]


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", b"GET /api", HEAD, BODY], ids=["nothing", "empty", "url", "head", "body"]
)
def test_a_request_that_does_not_end_is_ended(start: Start, sent: bytes) -> None:
    server = start(ConnectionLimits(head_seconds=0.05, body_seconds=0.05))
    assert received(server.send(sent)) == CLOSED
    assert server.answers()


def test_a_second_request_has_to_end_too(start: Start) -> None:
    connection = start(ConnectionLimits(head_seconds=0.5, body_seconds=0.5)).send(HEAD + b"\r\n")
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
    connection.sendall(HEAD)
    assert b"HTTP/1.1" not in received(connection)


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"X: " + b"a" * 3000,
        HEAD + b"X: a\r\n" * 600 + b"\r\n",
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["one header", "many headers", "the url"],
)
def test_a_large_head_is_refused(start: Start, sent: bytes) -> None:
    server = start(ConnectionLimits(head_bytes=2000))
    answer = received(server.send(sent))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"the request line and headers exceed 2000 bytes")
    assert server.answers()


@pytest.mark.parametrize("sent", [b"", b"GET /api", HEAD, BODY], ids=["nothing", "url", "head", "body"])
def test_of_too_many_connections_the_silent_ones_are_closed(start: Start, sent: bytes) -> None:
    server = start(ConnectionLimits(connections=4, head_seconds=60, body_seconds=60))
    connections = [server.send(sent) for _ in range(12)]
    assert server.answers()
    assert {received(connection) for connection in connections[:8]} == {CLOSED}
    assert server.answers()


def test_of_too_many_bodies_the_silent_ones_are_dropped(start: Start) -> None:
    server = start(ConnectionLimits(bodies=2, head_seconds=60, body_seconds=60))
    idle = server.send(HEAD)
    connections = [server.send(BODY) for _ in range(5)]
    assert {received(connection) for connection in connections[:3]} == {CLOSED}
    for connection in connections[3:]:
        connection.sendall(b",2,3,45]")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 404 ")
    idle.sendall(b"\r\n")
    assert idle.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_those_who_are_being_served_stay(start: Start, library: Library) -> None:
    server = start(ConnectionLimits(connections=4, head_seconds=60))
    listening = server.send(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while b": listening" not in listening.recv(1 << 16):
        pass
    for _ in range(12):
        server.send(HEAD)
    assert server.answers()
    for notify in library.listeners:
        notify()
    assert b"event: slides" in listening.recv(1 << 16)


def test_two_requests_at_once_are_refused(start: Start) -> None:
    events = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    server = start(SLOW)
    assert b"HTTP/1.1 4" not in received(server.send(events + HEAD + b"\r\n"))
    assert server.answers()


def test_a_refused_body_is_not_waited_for(start: Start) -> None:
    server = start(ConnectionLimits(body_seconds=0.05))
    answer = received(server.send(BODY.replace(b"10", b"1" + 9 * b"0")))
    assert answer.startswith(b"HTTP/1.1 413 ")
