"""HEAD for all that can be fetched, as probes and download tools ask (RFC 9110, section 9.3.2)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# In the scope of a request whose answer's body nobody sees.
WITHOUT_BODY = "mmsearch.without_body"


class AnswerHead:
    """Middleware: asks for what GET would give, and keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        asked = {**scope, "method": "GET", WITHOUT_BODY: True}
        await self._app(asked, receive, send_without_body)
