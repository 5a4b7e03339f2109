"""Requests by Python's own HTTP, which is there at once: for commands that ask one question."""

from __future__ import annotations

import http.client
import json as json_module
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class PlainAnswer:
    """What came back."""

    status_code: int
    content: bytes

    @property
    def is_error(self) -> bool:
        """Whether it is no success."""
        return self.status_code >= 400

    def json(self) -> Any:
        """The content. Raises ValueError where it is not JSON."""
        return json_module.loads(self.content)


class PlainHttp:
    """As much of `httpx.Client` as a `Client` needs, over one connection; for one thread."""

    def __init__(self, address: str, token: str | None, timeout_s: float) -> None:
        place = urlsplit(address)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=timeout_s
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> PlainAnswer:
        """Ask; raises OSError where nobody answers, or not in HTTP."""
        sent = self._headers | (headers or {})
        if json is not None:
            content = json_module.dumps(json).encode()
            sent["content-type"] = "application/json"
        target = f"{path}?{urlencode(params)}" if params else path
        try:
            self._connection.request(method, target, content, sent)
            answer = self._connection.getresponse()
            return PlainAnswer(answer.status, answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
