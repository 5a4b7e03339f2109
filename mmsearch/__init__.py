"""Find pictures by what is in them: the public API under the name that one installs.

>>> from mmsearch import SearchEngine, index_folders
>>> index_folders(["photos"])
>>> with SearchEngine.open() as engine:
...     print(engine.search("a dog on a beach")[0].path)

Names load when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from retrieval.errors import (
    CatalogError,
    DamagedCatalogError,
    EncoderMismatchError,
    ImageError,
    IndexBusyError,
    IndexMissingError,
    LabelError,
    MmsearchError,
    QueryError,
    RelevanceUnknownError,
    StorageError,
    UnknownModelError,
    VectorStoreError,
)

if TYPE_CHECKING:
    from indexer.captions import caption_pictures
    from indexer.feedback import forget_feedback, keep_feedback
    from indexer.images import add_images
    from indexer.pipeline.run import index_folders
    from indexer.report import IndexReport, Progress
    from indexer.tags import tag_pictures
    from indexer.upgrade import upgrade_index
    from retrieval.answering.base import Answer
    from retrieval.encoders.base import Encoder
    from retrieval.encoders.registry import load_encoder
    from retrieval.organise.labels import Label
    from retrieval.query.filters import Filter
    from retrieval.query.parse import parse_filter
    from retrieval.query.query import Query
    from retrieval.search.engine import SearchEngine
    from retrieval.search.explain import Explanation
    from retrieval.search.feedback import Feedback
    from retrieval.search.hit import Hit
    from web.client.client import Client
    from web.client.shards import ShardedClient

    __version__: str

_LAZY = {
    "Answer": "retrieval.answering.base",
    "Client": "web.client.client",
    "Encoder": "retrieval.encoders.base",
    "Explanation": "retrieval.search.explain",
    "Feedback": "retrieval.search.feedback",
    "Filter": "retrieval.query.filters",
    "Hit": "retrieval.search.hit",
    "IndexReport": "indexer.report",
    "Progress": "indexer.report",
    "Label": "retrieval.organise.labels",
    "Query": "retrieval.query.query",
    "SearchEngine": "retrieval.search.engine",
    "ShardedClient": "web.client.shards",
    "add_images": "indexer.images",
    "caption_pictures": "indexer.captions",
    "forget_feedback": "indexer.feedback",
    "index_folders": "indexer.pipeline.run",
    "keep_feedback": "indexer.feedback",
    "load_encoder": "retrieval.encoders.registry",
    "parse_filter": "retrieval.query.parse",
    "tag_pictures": "indexer.tags",
    "upgrade_index": "indexer.upgrade",
}

__all__ = [
    "Answer",
    "CatalogError",
    "Client",
    "DamagedCatalogError",
    "Encoder",
    "EncoderMismatchError",
    "Explanation",
    "Feedback",
    "Filter",
    "Hit",
    "ImageError",
    "IndexBusyError",
    "IndexMissingError",
    "IndexReport",
    "Label",
    "LabelError",
    "MmsearchError",
    "Progress",
    "Query",
    "QueryError",
    "RelevanceUnknownError",
    "SearchEngine",
    "ShardedClient",
    "StorageError",
    "UnknownModelError",
    "VectorStoreError",
    "__version__",
    "add_images",
    "caption_pictures",
    "forget_feedback",
    "index_folders",
    "keep_feedback",
    "load_encoder",
    "parse_filter",
    "tag_pictures",
    "upgrade_index",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("mmsearch")
    raise AttributeError(f"module 'mmsearch' has no attribute {name!r}")
