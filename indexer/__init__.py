"""Folders of pictures in, rows and vectors out: the only writer of an index."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.forget import move_root, remove_folder
    from indexer.run import index_folders
    from indexer.summary import IndexSummary, Progress

_LAZY = {
    "IndexSummary": "indexer.summary",
    "Progress": "indexer.summary",
    "index_folders": "indexer.run",
    "move_root": "indexer.forget",
    "remove_folder": "indexer.forget",
}

__all__ = ["IndexSummary", "Progress", "index_folders", "move_root", "remove_folder"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
