"""What a request was for, as metrics and traces name it."""

from __future__ import annotations

from starlette.types import Scope

API = "/api"


def route_of(scope: Scope) -> str:
    """What an address is for, of a request that was answered; as few different ones as there are.

    A file of the page is `page`; what led nowhere or was refused is `other`.
    """
    is_api = scope["path"].startswith(f"{API}/")
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str) or not path:
        return "other" if is_api else "page"
    # Some versions of FastAPI name a route within its router, others with the router's prefix.
    return path if not is_api or path.startswith(f"{API}/") else API + path
