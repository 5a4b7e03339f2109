"""Where a vector store in a database is: an address to remember, and secrets to forget.

The password or token comes from $MMSEARCH_VECTOR_STORE_PASSWORD or from the address that this
process was given; it is never written, printed or logged.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from retrieval.errors import VectorStoreError
from retrieval.storage.address_secrets import part_secrets

PASSWORD_VARIABLE = "MMSEARCH_VECTOR_STORE_PASSWORD"
MILVUS, PGVECTOR = "milvus", "postgresql+psycopg"
_SCHEMES = {
    MILVUS: MILVUS,
    PGVECTOR: PGVECTOR,
    "postgresql": PGVECTOR,
    "postgres": PGVECTOR,
}
_SECRETS = frozenset({"password", "token", "sslpassword"})
_MILVUS_PORT = 19530
# What this process was told, by address: the index that remembers the address does not know it.
_told: dict[str, str] = {}


@dataclass(frozen=True)
class StoreAddress:
    """A store's address. `text` is without any secret, for the catalogue and for messages."""

    text: str
    secret: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, address: str) -> Self:
        """Take `milvus://user@host:19530/database` and its like apart; remembers the password.

        Raises VectorStoreError, which does not repeat the address, where it is none.
        """
        try:
            parts = part_secrets(address, _SECRETS, told_by=_SECRETS)
        except ValueError:
            raise _no_address() from None
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None or not (parts.host or parts.path.strip("/")):
            raise _no_address()
        # Not `urlunsplit`, which drops the slashes of an empty host.
        query = f"?{parts.query}" if parts.query else ""
        text = f"{scheme}://{parts.host}{parts.path}{query}"
        if parts.secret:
            _told[text] = parts.secret
        found = cls(text, _told.get(text) or os.environ.get(PASSWORD_VARIABLE) or None)
        if found.file is not None and found.file.suffix != ".db":
            raise VectorStoreError(
                "A Milvus file's name must end in .db, as in milvus:///path/vectors.db.",
                code="vector-store-address",
            )
        return found

    def __str__(self) -> str:
        return self.text

    @property
    def scheme(self) -> str:
        """`MILVUS` or `PGVECTOR`."""
        return self._parts.scheme

    @property
    def file(self) -> Path | None:
        """The file of a Milvus that runs in this process; None for a server."""
        parts = self._parts
        return Path(parts.path) if parts.scheme == MILVUS and not parts.netloc else None

    @property
    def user(self) -> str:
        """The name to log in with; empty where there is none."""
        return unquote(self._parts.username or "")

    @property
    def database(self) -> str:
        """The database on a server; empty for its own default."""
        return self._parts.path.strip("/")

    @property
    def http_url(self) -> str:
        """A Milvus server's address as its client takes it; with TLS for `?secure=true`."""
        parts = self._parts
        is_secure = ("secure", "true") in parse_qsl(parts.query)
        host = parts.hostname or "localhost"
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if is_secure else 'http'}://{host}:{parts.port or _MILVUS_PORT}"

    @property
    def postgres_url(self) -> str:
        """A PostgreSQL server's address as libpq takes it, without the password."""
        return urlunsplit(("postgresql", *self._parts[1:]))

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.text)


def _no_address() -> VectorStoreError:
    return VectorStoreError(
        "The vector store's address must be like milvus:///path/vectors.db, "
        f"milvus://host:{_MILVUS_PORT} or {PGVECTOR}://user@host/database, or `faiss`.",
        code="vector-store-address",
    )
