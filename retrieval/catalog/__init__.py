"""The catalogue: the one truth about what is indexed.

Names load when they are first used, since a question does without most of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.catalog.catalog import Catalog
    from retrieval.catalog.checking import CatalogDefects
    from retrieval.catalog.reader import CatalogReader
    from retrieval.catalog.rows import (
        Failure,
        KnownFile,
        Picture,
        PictureFacts,
        Root,
        StoredFile,
    )
    from retrieval.catalog.writing import WriteTransaction

_LAZY = {
    "Catalog": "catalog",
    "CatalogDefects": "checking",
    "CatalogReader": "reader",
    "Failure": "rows",
    "KnownFile": "rows",
    "Picture": "rows",
    "PictureFacts": "rows",
    "Root": "rows",
    "StoredFile": "rows",
    "WriteTransaction": "writing",
}

__all__ = [
    "Catalog",
    "CatalogDefects",
    "CatalogReader",
    "Failure",
    "KnownFile",
    "Picture",
    "PictureFacts",
    "Root",
    "StoredFile",
    "WriteTransaction",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
