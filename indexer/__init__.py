"""Folders of pictures in, rows and vectors out: the only writer of an index."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.backup import back_up, restore
    from indexer.check import CheckReport, check_index
    from indexer.findings import Finding
    from indexer.forget import move_root, remove_folder
    from indexer.mend import MendReport, mend_index
    from indexer.repair import RepairSummary, repair_catalog
    from indexer.run import index_folders
    from indexer.summary import IndexSummary, Progress
    from indexer.watch import watch_folders

_LAZY = {
    "CheckReport": "indexer.check",
    "Finding": "indexer.findings",
    "IndexSummary": "indexer.summary",
    "MendReport": "indexer.mend",
    "Progress": "indexer.summary",
    "back_up": "indexer.backup",
    "check_index": "indexer.check",
    "RepairSummary": "indexer.repair",
    "index_folders": "indexer.run",
    "mend_index": "indexer.mend",
    "move_root": "indexer.forget",
    "remove_folder": "indexer.forget",
    "repair_catalog": "indexer.repair",
    "restore": "indexer.backup",
    "watch_folders": "indexer.watch",
}

__all__ = [
    "CheckReport",
    "Finding",
    "IndexSummary",
    "MendReport",
    "Progress",
    "RepairSummary",
    "back_up",
    "check_index",
    "index_folders",
    "mend_index",
    "move_root",
    "remove_folder",
    "repair_catalog",
    "restore",
    "watch_folders",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
