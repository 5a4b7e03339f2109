"""How a handler comes by the service."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from retrieval.errors import MmsearchError
from web.service import Service


def service_of(request: Request) -> Service:
    """The service that the application was made with."""
    service: Service = request.app.state.service
    return service


def require_local(request: Request) -> None:
    """Raise MmsearchError `forbidden` where others can reach the server.

    For what shows this machine's disk.
    """
    if not service_of(request).settings.is_loopback:
        raise MmsearchError(
            "That is only for a server that this machine alone can reach.", code="forbidden"
        )


Serving = Annotated[Service, Depends(service_of)]
