"""The catalogue: the one truth about what is indexed.

Names load when they are first used, since a question does without most of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.catalog.catalog import Catalog
    from retrieval.catalog.integrity import CatalogDefects
    from retrieval.catalog.records import (
        Failure,
        FileFacts,
        Item,
        ItemFacts,
        KnownFile,
        Root,
        StoredFile,
    )
    from retrieval.catalog.sqlite.quick_reader import QuickReader
    from retrieval.catalog.transaction import WriteTransaction

_LAZY = {
    "Catalog": "catalog",
    "CatalogDefects": "integrity",
    "QuickReader": "sqlite.quick_reader",
    "Failure": "records",
    "FileFacts": "records",
    "Item": "records",
    "ItemFacts": "records",
    "KnownFile": "records",
    "Root": "records",
    "StoredFile": "records",
    "WriteTransaction": "transaction",
}

__all__ = [
    "Catalog",
    "CatalogDefects",
    "Failure",
    "FileFacts",
    "Item",
    "ItemFacts",
    "KnownFile",
    "QuickReader",
    "Root",
    "StoredFile",
    "WriteTransaction",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
