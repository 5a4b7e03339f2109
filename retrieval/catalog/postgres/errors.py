"""What an error of a PostgreSQL server means for a person; a password never stands in it."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from retrieval.errors import CatalogError, MmsearchError, StorageError
from retrieval.storage.catalog_url import CatalogUrl

# SQLSTATE, by PostgreSQL's documentation, Appendix A.
_DISK_FULL = "53100"
_NO_PASSWORD = ("28P01", "28000")
_NO_RIGHT = "42501"
_IDLE_IN_TRANSACTION = "25P03"


def as_mmsearch_error(error: DBAPIError, url: CatalogUrl) -> MmsearchError:
    """The error as a sentence that names the catalogue."""
    state = getattr(error.orig, "sqlstate", None) or ""
    text = _first_line(str(error.orig), url)
    if state == _DISK_FULL:
        return StorageError(f"The disk of the catalogue {url} is full.")
    if state == _IDLE_IN_TRANSACTION:
        return CatalogError(
            f"This process was held up while it wrote to the catalogue {url}, and what it had "
            "begun was undone: run again."
        )
    if state == _NO_RIGHT:
        return CatalogError(f"The catalogue {url} may not be used so ({text}).")
    is_connection = isinstance(error, OperationalError | InterfaceError)
    if state in _NO_PASSWORD or (is_connection and "password" in text):
        return CatalogError(
            f"The server of the catalogue {url} wants a password, or another one ({text}).",
            code="catalog-password",
        )
    if is_connection:
        return CatalogError(
            f"The catalogue {url} cannot be reached ({text}).", code="catalog-unreachable"
        )
    return CatalogError(f"The catalogue {url} cannot be used ({text}).")


def _first_line(text: str, url: CatalogUrl) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else "it does not say why"
    return first.replace(url.password, "***") if url.password else first
