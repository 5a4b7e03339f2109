"""Marks that are kept: which pictures are right or wrong for a question, for good."""

from __future__ import annotations

import os
from collections.abc import Sequence

from retrieval.index import Index
from retrieval.query.query import Query
from retrieval.search.embed import item_of
from retrieval.search.engine import as_query
from retrieval.search.feedback import key_of


def keep_feedback(
    query: str | Query,
    *,
    right: Sequence[str | os.PathLike[str]] = (),
    wrong: Sequence[str | os.PathLike[str]] = (),
    index_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Keep in an index which of its pictures are right or wrong for a question in words.

    From then on the question is asked with them, see `SearchEngine.search`. Marks of before stay,
    save that a picture is one or the other. Nothing of it leaves the index. A picture that leaves
    the index takes its marks with it.

    Raises MmsearchError for a picture that is not indexed, ValueError for a question that is not
    of words alone or a picture that is marked both ways, IndexMissingError, IndexBusyError and
    CatalogError as `Index.writing` does.
    """
    key = _key(query)
    with Index.writing(index_dir) as index:
        ids = {
            is_right: [item_of(path, index.catalog) for path in paths]
            for is_right, paths in ((True, right), (False, wrong))
        }
        both = set(ids[True]) & set(ids[False])
        if both:
            raise ValueError("A picture is marked as right and as wrong: choose one.")
        with index.catalog.transaction() as change:
            for is_right, own in ids.items():
                change.mark(key, own, is_right=is_right)
        index.refresh_vectors()


def forget_feedback(
    query: str | Query | None = None, index_dir: str | os.PathLike[str] | None = None
) -> int:
    """Forget the marks of a question, or all marks; returns how many there were.

    Raises what `keep_feedback` raises.
    """
    key = None if query is None else _key(query)
    with Index.writing(index_dir) as index:
        with index.catalog.transaction() as change:
            forgotten = change.forget_marks(key)
        index.refresh_vectors()
    return forgotten


def _key(query: str | Query) -> str:
    key = key_of(as_query(query))
    if key is None:
        raise ValueError("Marks are kept for a question in words alone.")
    return key
