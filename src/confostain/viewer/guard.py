"""Access control of HTTP requests: by host name, origin, token, body size and number of requests in progress.

On this machine any browser is served, but only requests that call the server by a name of this machine: otherwise the
name of a foreign site could point here and let its pages read the slides through the user's browser (DNS rebinding).
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "confostain"
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
READING_METHODS = {"GET", "HEAD", "OPTIONS"}

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class AccessRules:
    """Rules that a request must meet.

    Attributes:
        token: what the client must present; None for nothing.
        is_local: whether the client must call the server by a name of this machine.
        root_path: path at which a proxy shows the server, such as "/user/anna/proxy/8765"; "" without a proxy. The page
            then also belongs to the host that the proxy names in X-Forwarded-Host, which no foreign page can send.
        max_body: bytes of a request; the default holds 20,000 annotated cells of 40 corners each.
        max_pending: requests of one address in progress; 40 browsers with six connections each stay below the default.
        max_writing: bytes of the bodies of requests in progress, of all addresses; the default holds one of the largest
            and many as they are usual.
    """

    token: str | None = None
    is_local: bool = True
    root_path: str = ""
    max_body: int = 8 << 20
    max_pending: int = 256
    max_writing: int = 12 << 20


class Guard:
    """ASGI middleware that refuses requests which break the rules, and adds security headers to all responses."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        """Protect `app`."""
        self._app = app
        self._rules = rules
        self._pending: Counter[str] = Counter()
        self._writing = 0  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        scope = self._placed(scope)
        address = scope["client"][0] if scope.get("client") else ""
        refusal = self._refusal(scope, address)
        if refusal is not None:
            await refusal(scope, receive, send_secured)
        elif scope["method"] in READING_METHODS:
            await self._answer(address, scope, receive, send_secured)
        else:
            await self._write(address, scope, receive, send_secured)

    def _placed(self, scope: Scope) -> Scope:
        """The request at its place below the root path, whether or not the proxy has cut that path off."""
        root_path, path = self._rules.root_path, scope["path"]
        if not root_path:
            return scope
        is_whole = path == root_path or path.startswith(root_path + "/")
        return {**scope, "root_path": root_path, "path": path if is_whole else root_path + path}

    async def _answer(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._pending[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._pending[address] -= 1
            if not self._pending[address]:
                del self._pending[address]

    async def _write(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a body, once the body is there: slow clients do not count as requests in progress."""
        body = await _whole_body(receive)
        if body is None:
            return
        size = len(body)
        if self._writing + size > self._rules.max_writing:
            refusal = _refuse(503, f"{self._writing} bytes are being written just now; try again in a second")
            refusal.headers["Retry-After"] = "1"
            await refusal(scope, receive, send)
            return
        self._writing += size
        replay = _replayed(body, receive)
        del body  # the application has it now, and may free it
        try:
            await self._answer(address, scope, replay, send)
        finally:
            self._writing -= size

    def _refusal(self, scope: Scope, address: str) -> Response | None:
        headers, rules = Headers(scope=scope), self._rules
        if rules.root_path and scope["path"] == rules.root_path:  # the addresses on the page are relative to the slash
            return RedirectResponse(rules.root_path + "/", 307)
        host, origin = headers.get("host", ""), headers.get("origin")
        if rules.is_local and _host_name(host) not in LOCAL_NAMES:
            return _refuse(403, f"host {host!r} is not a name of this machine; open the page as http://localhost")
        hosts = {host, headers.get("x-forwarded-host", host)} if rules.root_path else {host}
        if scope["method"] not in READING_METHODS and origin is not None and urlsplit(origin).netloc not in hosts:
            return _refuse(403, f"a page of {origin!r} may not change anything here; expected a page of this server")
        if self._pending[address] >= rules.max_pending:
            return _refuse(429, f"{rules.max_pending} requests of {address} are in progress; wait for some of them")
        if rules.token is not None and not self._is_authenticated(headers):
            hint = "the token is missing or wrong; open the address that `confostain` printed, with its token"
            return self._login(scope) or _refuse(401, hint)
        return self._oversized(scope["method"], headers)

    def _is_authenticated(self, headers: Headers) -> bool:
        """Whether the cookie or the Authorization header holds the token."""
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        presented = [cookies[COOKIE].value] if COOKIE in cookies else []
        presented.append(headers.get("authorization", "").removeprefix("Bearer "))
        return any(self._is_token(word) for word in presented)

    def _is_token(self, word: str) -> bool:
        return hmac.compare_digest(word.encode(), (self._rules.token or "").encode())

    def _login(self, scope: Scope) -> Response | None:
        """Redirect that moves the token from the address into a cookie; None if the address has no valid token."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        page = self._rules.root_path + "/"
        if scope["path"] != page or scope["method"] != "GET" or not self._is_token(given):
            return None
        response = RedirectResponse(page, 303)
        response.set_cookie(COOKIE, given, path=page, httponly=True, samesite="strict")
        return response

    def _oversized(self, method: str, headers: Headers) -> Response | None:
        if method in READING_METHODS:
            return None
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return _refuse(411, "no Content-Length header; expected the number of bytes of the body")
        if int(length) > self._rules.max_body:
            return _refuse(413, f"a body of {length} bytes; expected at most {self._rules.max_body}")
        return None


async def _whole_body(receive: Receive) -> bytes | None:
    """Body of a request, whose length has been checked; None if the client has disconnected."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` as if the body had not been read yet."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _host_name(host: str) -> str:
    """Name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _refuse(status: int, reason: str) -> Response:
    return JSONResponse({"detail": reason}, status)
