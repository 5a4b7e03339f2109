"""Text-to-image retrieval: everything that a question needs. This module is the public API.

Names load when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from retrieval.errors import (
    CatalogError,
    EncoderMismatchError,
    ImageError,
    IndexBusyError,
    IndexMissingError,
    MmsearchError,
    UnknownModelError,
)
from retrieval.search.hit import Hit

if TYPE_CHECKING:
    from retrieval.catalog import Catalog
    from retrieval.encoders.base import Encoder
    from retrieval.encoders.registry import load_encoder
    from retrieval.search.engine import SearchEngine

_LAZY = {
    "Catalog": "retrieval.catalog",
    "Encoder": "retrieval.encoders.base",
    "SearchEngine": "retrieval.search.engine",
    "load_encoder": "retrieval.encoders.registry",
}

__all__ = [
    "Catalog",
    "CatalogError",
    "Encoder",
    "EncoderMismatchError",
    "Hit",
    "ImageError",
    "IndexBusyError",
    "IndexMissingError",
    "MmsearchError",
    "SearchEngine",
    "UnknownModelError",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'retrieval' has no attribute {name!r}")
