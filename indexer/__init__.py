"""Folders of pictures in, rows and vectors out: the only writer of an index."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.captions import (
        CaptionReport,
        caption_pictures,
        count_captions,
        remove_captions,
    )
    from indexer.distributed.run import index_distributed
    from indexer.distributed.shard_run import index_shards
    from indexer.exporting.run import ExportReport, export_index
    from indexer.feedback import forget_feedback, keep_feedback
    from indexer.images import add_images
    from indexer.importing.report import ImportReport
    from indexer.importing.run import import_vectors
    from indexer.maintenance.backup import back_up, restore
    from indexer.maintenance.check import CheckReport, check_index
    from indexer.maintenance.findings import Finding
    from indexer.maintenance.fix import FixReport, fix_index
    from indexer.maintenance.repair import RepairSummary, repair_catalog
    from indexer.pipeline.preview import IndexPreview, preview_index
    from indexer.pipeline.run import index_folders
    from indexer.report import IndexReport, Progress
    from indexer.roots import move_root, remove_folder
    from indexer.tags import TagReport, count_tags, remove_tags, tag_pictures
    from indexer.upgrade import UpgradeReport, upgrade_index
    from indexer.watch.watch import watch_folders

_LAZY = {
    "CaptionReport": "indexer.captions",
    "caption_pictures": "indexer.captions",
    "count_captions": "indexer.captions",
    "remove_captions": "indexer.captions",
    "CheckReport": "indexer.maintenance.check",
    "Finding": "indexer.maintenance.findings",
    "IndexPreview": "indexer.pipeline.preview",
    "ExportReport": "indexer.exporting.run",
    "ImportReport": "indexer.importing.report",
    "IndexReport": "indexer.report",
    "export_index": "indexer.exporting.run",
    "index_distributed": "indexer.distributed.run",
    "index_shards": "indexer.distributed.shard_run",
    "import_vectors": "indexer.importing.run",
    "FixReport": "indexer.maintenance.fix",
    "Progress": "indexer.report",
    "back_up": "indexer.maintenance.backup",
    "check_index": "indexer.maintenance.check",
    "RepairSummary": "indexer.maintenance.repair",
    "index_folders": "indexer.pipeline.run",
    "forget_feedback": "indexer.feedback",
    "keep_feedback": "indexer.feedback",
    "fix_index": "indexer.maintenance.fix",
    "move_root": "indexer.roots",
    "preview_index": "indexer.pipeline.preview",
    "remove_folder": "indexer.roots",
    "repair_catalog": "indexer.maintenance.repair",
    "restore": "indexer.maintenance.backup",
    "TagReport": "indexer.tags",
    "count_tags": "indexer.tags",
    "remove_tags": "indexer.tags",
    "tag_pictures": "indexer.tags",
    "UpgradeReport": "indexer.upgrade",
    "add_images": "indexer.images",
    "upgrade_index": "indexer.upgrade",
    "watch_folders": "indexer.watch.watch",
}

__all__ = [
    "CaptionReport",
    "CheckReport",
    "ExportReport",
    "Finding",
    "FixReport",
    "ImportReport",
    "IndexPreview",
    "IndexReport",
    "Progress",
    "RepairSummary",
    "TagReport",
    "UpgradeReport",
    "add_images",
    "back_up",
    "caption_pictures",
    "check_index",
    "count_captions",
    "count_tags",
    "export_index",
    "fix_index",
    "forget_feedback",
    "import_vectors",
    "index_distributed",
    "index_folders",
    "index_shards",
    "keep_feedback",
    "move_root",
    "preview_index",
    "remove_captions",
    "remove_folder",
    "remove_tags",
    "repair_catalog",
    "restore",
    "tag_pictures",
    "upgrade_index",
    "watch_folders",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
