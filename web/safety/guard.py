"""Who may speak to the server: the Host header, the page that asks, the token, the body's length.

A page of elsewhere in the same browser can send requests here. It cannot name this server in the
Host header unless it was loaded from it (DNS rebinding), and says where it is from in
Sec-Fetch-Site or Origin.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import time
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.safety.answers import HEADERS
from web.safety.errors import error_answer
from web.settings import ServeSettings

COOKIE = "mmsearch_token"
API = "/api/"
LOGIN = "/api/login"
UPLOADS = "/api/uploads"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOG = logging.getLogger("mmsearch.access")


class Guard:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings
        self._names = settings.own_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            # There are no web sockets here; what is left is the start and the end.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._entrance(scope)
        try:
            if answer is not None:
                await answer(scope, receive, send_guarded)
            else:
                limited = _limited(receive, self._body_limit(scope["path"]))
                await self._app(scope, limited, send_guarded)
        finally:
            shown = scope["path"]
            if self._settings.log_questions and scope["query_string"]:
                shown += "?" + scope["query_string"].decode("latin-1")
            took_ms = 1000 * (time.monotonic() - started)
            _LOG.info("%s %r %d %.1f ms", scope["method"], shown, status, took_ms)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._is_own(headers.get("host", "")):
            return error_answer(
                421, "host", "This server does not go by that name: use the address that it said."
            )
        if not is_from_here(scope["method"], scope["path"], headers):
            return error_answer(403, "origin", "A page of elsewhere may not ask this server.")
        length = headers.get("content-length", "0")
        limit = self._body_limit(scope["path"])
        if not length.isascii() or not length.isdigit() or int(length) > limit:
            return error_answer(413, "too-large", f"At most {limit} bytes are taken here.")
        path = scope["path"]
        if path.startswith(API) and path != LOGIN and not self.is_known(headers):
            return error_answer(
                401, "unauthorized", "A token is needed.", {"www-authenticate": "Bearer"}
            )
        return None

    def is_known(self, headers: Headers) -> bool:
        """Whether a request shows the token, where one is asked; in constant time."""
        token = self._settings.token
        if token is None:
            return True
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and same(shown.strip(), token):
            return True
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return same(cookie, cookie_value(token))

    def _entrance(self, scope: Scope) -> Response | None:
        """A redirect that sets the cookie, for `/?token=...`."""
        token = self._settings.token
        if token is None or scope["path"] != "/" or scope["method"] != "GET":
            return None
        shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not shown or not same(shown, token):
            return None
        answer = RedirectResponse("/", status_code=303)
        set_cookie(answer, token)
        return answer

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if not name:
            return False
        if name.lower() in self._names:
            return True
        try:
            # No page can be loaded from here under another name than one that is in its address:
            # what is written as a number cannot be rebound.
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._settings.is_loopback

    def _body_limit(self, path: str) -> int:
        limits = self._settings.limits
        return limits.upload_bytes if path == UPLOADS else limits.body_bytes


def is_from_here(method: str, path: str, headers: Headers) -> bool:
    """Whether a request comes from this server's own page, from an address bar, or from no page."""
    site = headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none") and (method not in _SAFE or path.startswith(API)):
        return False
    origin = headers.get("origin")
    if method in _SAFE or origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def same(shown: str, wanted: str) -> bool:
    """Whether two texts are equal; how long it takes does not tell where they differ."""
    return hmac.compare_digest(_digest(shown), _digest(wanted))


def cookie_value(token: str) -> str:
    """What stands in the cookie: it shows that the token was known, and is not the token."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"cookie", hashlib.sha256).hexdigest()


def set_cookie(answer: Response, token: str) -> None:
    """Let a browser show from now on that it knew the token."""
    answer.set_cookie(
        COOKIE, cookie_value(token), max_age=30 * 86400, httponly=True, samesite="strict"
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _limited(receive: Receive, limit: int) -> Receive:
    """Messages of a body that is at most so many bytes long, whatever its header said."""
    taken = 0

    async def receive_limited() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"At most {limit} bytes are taken here.")
        return message

    return receive_limited
