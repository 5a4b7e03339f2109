"""What is of no use for a catalogue on a server, which has tools of its own for that."""

from __future__ import annotations

from retrieval.errors import CatalogError
from retrieval.storage.catalog_url import CatalogUrl
from retrieval.storage.index_dir import IndexDir


def require_file(location: IndexDir, instead: str) -> None:
    """Raise CatalogError, saying what does it instead, where the catalogue is on a server."""
    address = location.address
    if isinstance(address, CatalogUrl):
        raise CatalogError(
            f"The catalogue is on a PostgreSQL server, {address}: {instead}.",
            code="catalog-on-server",
        )
