"""Who may ask, and for how much: stands before the application, sees every request, and knows no slide.

On this machine any browser may ask, but only for pages that call the server by one of this machine's names: else a
foreign site could have its name point here and read the slides through the visitor's browser (DNS rebinding).
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 8 << 20  # bytes; 20,000 annotated cells of 40 corners each
MAX_PENDING = 512  # requests of one address under way at once: 40 browsers with their six connections each
COOKIE = "confostain"
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
READING = {"GET", "HEAD", "OPTIONS"}

SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, token: str | None, is_local: bool) -> None:
        """Let in who knows `token` (None: everybody); `is_local`: and calls this machine by a name of its own."""
        self._app = app
        self._token = token
        self._is_local = is_local
        self._pending: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY)
            await send(message)

        address = scope["client"][0] if scope.get("client") else ""
        refusal = self._refusal(scope, address)
        if refusal is not None:
            await refusal(scope, receive, secured)
            return
        self._pending[address] += 1
        try:
            await self._app(scope, receive, secured)
        finally:
            self._pending[address] -= 1
            if not self._pending[address]:
                del self._pending[address]

    def _refusal(self, scope: Scope, address: str) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._is_local and _name_in(host) not in LOCAL_NAMES:
            return _no(403, f"{host!r} is no name of this machine; open the page as http://localhost")
        origin = headers.get("origin")
        if scope["method"] not in READING and origin is not None and urlsplit(origin).netloc != host:
            return _no(403, f"a page of {origin!r} may not change anything here")
        if self._pending[address] >= MAX_PENDING:
            return _no(429, f"{MAX_PENDING} requests of {address} are under way; wait for some of them")
        if self._token is not None and not self._is_known(headers):
            return self._admitted(scope) or _no(401, "open the address that `confostain` printed, with its token")
        return _too_large(scope["method"], headers)

    def _is_known(self, headers: Headers) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        shown = [cookies[COOKIE].value] if COOKIE in cookies else []
        shown.append(headers.get("authorization", "").removeprefix("Bearer "))
        return any(self._matches(word) for word in shown)

    def _matches(self, word: str) -> bool:
        return hmac.compare_digest(word.encode(), (self._token or "").encode())

    def _admitted(self, scope: Scope) -> Response | None:
        """A cookie for who comes with the token in the address, which then disappears from it."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] != "/" or scope["method"] != "GET" or not self._matches(given):
            return None
        response = RedirectResponse("/", 303)
        response.set_cookie(COOKIE, given, httponly=True, samesite="strict")
        return response


def _name_in(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _too_large(method: str, headers: Headers) -> Response | None:
    if method in READING:
        return None
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return _no(411, "expected a Content-Length")
    if int(length) > MAX_BODY:
        return _no(413, f"{length} bytes; expected at most {MAX_BODY}")
    return None


def _no(status: int, reason: str) -> Response:
    return JSONResponse({"detail": reason}, status)
