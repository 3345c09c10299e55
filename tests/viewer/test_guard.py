"""Which requests are answered."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi import FastAPI

from confostain.viewer.app import create_app
from confostain.viewer.guard import AccessRules
from confostain.viewer.library import Library

Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "[::2]", "", "[", "a b"]
)
def test_foreign_names_are_refused(client: httpx.Client, host: str) -> None:
    assert client.get("/api/slides", headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8765", "[::1]:9"])
def test_own_names_are_served(client: httpx.Client, host: str) -> None:
    assert client.get("/api/slides", headers={"Host": host}).status_code == 200


def test_foreign_pages_change_nothing(client: httpx.Client, slide_url: str) -> None:
    url, headers = f"{slide_url}/annotations", {"Origin": "http://evil.example", "If-Match": "x"}
    assert client.put(url, json={"type": "FeatureCollection", "features": []}, headers=headers).status_code == 403
    own = headers | {"Origin": str(client.base_url).rstrip("/")}
    assert client.put(url, json={"type": "FeatureCollection", "features": []}, headers=own).status_code == 412


def test_every_answer_carries_the_policy(client: httpx.Client) -> None:
    for path in ("/", "/api/slides", "/nothing", "/static/nothing.js"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_elsewhere_the_token_is_needed(library: Library, serve: Serve) -> None:
    with serve(create_app(library, AccessRules(token="opensesame", is_local=False))) as client:
        for path in (
            "/",
            "/api/slides",
            "/static/main.js",
            "/openapi.json",
            "/?token=wrong",
            "/api/slides?token=opensesame",
        ):
            assert client.get(path).status_code == 401, path
        assert client.get("/api/slides", headers={"Authorization": "Bearer opensesame"}).status_code == 200
        assert client.get("/api/slides", headers={"Cookie": "confostain=wrong"}).status_code == 401
        assert client.get("/api/slides", headers={"Cookie": "\u00e9=;;=".encode()}).status_code == 401
        entered = client.get("/?token=opensesame")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert {"httponly", "samesite=strict"} <= set(entered.headers["set-cookie"].lower().replace(" ", "").split(";"))
        assert client.get("/api/slides").status_code == 200  # the client keeps the cookie


def test_too_much_is_refused(client: httpx.Client, slide_url: str) -> None:
    url = f"{slide_url}/annotations"
    large = client.put(url, content=b" " * (AccessRules().max_body + 1), headers={"Content-Type": "application/json"})
    assert large.status_code == 413
    chunked = client.put(url, content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 411


def test_only_so_much_is_written_at_the_same_time(library: Library, serve: Serve) -> None:
    with serve(create_app(library, AccessRules(max_writing=1))) as client:
        refused = client.put("/api/slides/x/annotations", json={})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert client.get("/api/slides").status_code == 200


def test_a_body_that_does_not_come_keeps_nobody_else_waiting(library: Library, serve: Serve) -> None:
    with (
        serve(create_app(library, AccessRules(max_pending=1, max_writing=2))) as client,
        socket.create_connection((client.base_url.host, client.base_url.port)) as slow,
    ):
        slow.sendall(b"PUT /api/slides/x/annotations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n[")
        assert client.get("/api/slides").status_code == 200
        assert client.put("/api/slides/x/annotations", json={}).status_code == 404


def test_one_address_may_not_ask_for_everything_at_once(library: Library, serve: Serve) -> None:
    rules = AccessRules(max_pending=1)
    with (
        serve(create_app(library, rules)) as client,
        client.stream("GET", "/api/events"),
        httpx.Client(base_url=client.base_url) as other,
    ):
        assert other.get("/api/slides").status_code == 429


ROOT = "/user/anna/proxy/8765"


@pytest.mark.parametrize("prefix", ["", ROOT], ids=["a proxy that cuts the path", "a proxy that keeps it"])
def test_behind_a_proxy_the_token_leads_to_the_page_there(library: Library, serve: Serve, prefix: str) -> None:
    rules = AccessRules(token="opensesame", is_local=False, root_path=ROOT)
    with serve(create_app(library, rules)) as client:
        assert client.get(f"{prefix}/api/slides", headers={"Host": "hub.example"}).status_code == 401
        entered = client.get(f"{prefix}/?token=opensesame")
        assert (entered.status_code, entered.headers["location"]) == (303, f"{ROOT}/")
        assert f"path={ROOT}/;" in entered.headers["set-cookie"].lower() + ";"
        token = {"Authorization": "Bearer opensesame"}
        for path in ("/", "/api/slides", "/static/main.js", "/openapi.json"):
            assert client.get(prefix + path, headers=token).status_code == 200, path
        assert client.get(f"{prefix}/nothing", headers=token).status_code == 404
        assert client.get(ROOT, headers=token).headers["location"] == f"{ROOT}/"


@pytest.mark.parametrize(
    ("root_path", "forwarded", "origin", "status"),
    [
        (ROOT, "hub.example", "https://hub.example", 412),
        (ROOT, "hub.example", "https://evil.example", 403),
        (ROOT, None, "https://hub.example", 403),
        ("", "evil.example", "https://evil.example", 403),
    ],
)
def test_only_the_page_behind_the_proxy_changes_something(
    library: Library, serve: Serve, root_path: str, forwarded: str | None, origin: str, status: int
) -> None:
    slide = next(iter(library.entries))
    with serve(create_app(library, AccessRules(token="opensesame", is_local=False, root_path=root_path))) as client:
        headers = {"Authorization": "Bearer opensesame", "Origin": origin, "If-Match": "x"}
        headers |= {"X-Forwarded-Host": forwarded} if forwarded else {}
        body = {"type": "FeatureCollection", "features": []}
        assert client.put(f"/api/slides/{slide}/annotations", json=body, headers=headers).status_code == status
