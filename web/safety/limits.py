"""How much clients may ask: a rate for each address, and a bound on what is answered at once."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from web.safety.errors import error_answer
from web.settings import Limits

EVENTS = "/api/events"
_ADDRESSES_KEPT = 4096


class Bucket:
    """A token bucket: `burst` at once, then `a_s` a second."""

    def __init__(self, a_s: float, burst: int) -> None:
        self._a_s = a_s
        self._burst = burst
        self._left = float(burst)
        self._at_s = time.monotonic()

    def take(self) -> float:
        """Take one; 0.0, or how many seconds to wait until there is one."""
        now_s = time.monotonic()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._a_s)
        self._at_s = now_s
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._a_s


class LimitRequests:
    """Middleware that answers 429 with Retry-After where there is too much."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._running = 0
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say when to come back. On the event loop, so without locks."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wait_s = self._bucket(scope).take()
        is_stream = scope["path"] == EVENTS
        is_full = (
            self._streams >= self._limits.streams
            if is_stream
            else self._running >= self._limits.at_once
        )
        if wait_s or is_full:
            answer = error_answer(
                429,
                "too-many",
                "That is more than this server answers at once: ask again in a moment.",
                {"retry-after": str(max(1, math.ceil(wait_s)))},
            )
            await answer(scope, receive, send)
            return
        self._streams += is_stream
        self._running += not is_stream
        try:
            await self._app(scope, receive, send)
        finally:
            self._streams -= is_stream
            self._running -= not is_stream

    def _bucket(self, scope: Scope) -> Bucket:
        client = scope.get("client")
        address = client[0] if client else ""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = Bucket(self._limits.requests_a_s, self._limits.burst)
        self._buckets[address] = bucket
        while len(self._buckets) > _ADDRESSES_KEPT:
            self._buckets.popitem(last=False)
        return bucket
