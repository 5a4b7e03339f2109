"""The address of a database taken apart into what may be kept and what must not be."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit


class OpenAddress(NamedTuple):
    """An address without its secrets, and the secret that it named: "" where it named none."""

    scheme: str
    host: str
    path: str
    query: str
    secret: str


def part_secrets(address: str, hidden: Collection[str], told_by: Collection[str]) -> OpenAddress:
    """Take `scheme://user:secret@host/path?key=value` apart.

    Values of the keys in `hidden` are left out of the query. The secret is what follows the user's
    name, else the first value of a key in `told_by`. Raises ValueError, which may quote the
    address, where it is none.
    """
    parts = urlsplit(address.strip())
    _ = parts.port
    account, _, server = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    options = parse_qsl(parts.query)
    secret = unquote(password) or next((v for k, v in options if k in told_by), "")
    query = urlencode([(key, value) for key, value in options if key not in hidden])
    host = f"{user}@{server}" if user else server
    return OpenAddress(parts.scheme, host, parts.path, query, secret)
