"""A large index that never changes, under a small one that holds what came since.

So a file mapped into memory can be searched at once although the catalogue has moved on, and a
search in one thread is undisturbed by news that another takes in: each change makes a new layer.
"""

from __future__ import annotations

import numpy as np

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Halves, Ids, VectorIndex
from retrieval.vectors.faiss.index import FaissIndex


class OverlayIndex:
    """`base`, less the ids that were `dropped` from it, plus recent vectors (a `VectorIndex`)."""

    def __init__(
        self,
        base: VectorIndex,
        dropped: Ids | None = None,
        recent_ids: Ids | None = None,
        recent_vectors: Halves | None = None,
    ) -> None:
        self._base = base
        self._dropped = dropped if dropped is not None else np.empty(0, dtype=np.int64)
        self._recent_ids = recent_ids if recent_ids is not None else np.empty(0, dtype=np.int64)
        self._recent_vectors = (
            recent_vectors
            if recent_vectors is not None
            else np.empty((0, base.dim), dtype=np.float16)
        )
        self._recent = FaissIndex.empty(base.dim)
        self._recent.add(self._recent_ids, self._recent_vectors.astype(np.float32))

    def updated(self, removed: Ids, written_ids: Ids, written: Halves) -> OverlayIndex:
        """This index after a change; itself it stays as it is.

        `removed`: ids (r,) that are gone. `written_ids` (n,), `written` (n, dim): vectors that are
        new, or that replace those of the same ids.
        """
        outdated = np.union1d(removed, written_ids)
        kept = ~np.isin(self._recent_ids, outdated)
        return OverlayIndex(
            self._base,
            np.union1d(self._dropped, outdated),
            np.concatenate([self._recent_ids[kept], written_ids]),
            np.concatenate([self._recent_vectors[kept], written]),
        )

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._base.dim

    @property
    def kind(self) -> str:
        """How the large layer searches, in the words of a FAISS factory string."""
        return self._base.kind

    @property
    def pending(self) -> int:
        """How many changes lie above the base: what a rewrite of the file would fold in."""
        return max(len(self._dropped), len(self._recent_ids))

    def search(
        self, queries: Vectors, k: int, *, within: Ids | None = None, without: Ids | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest of each query, (q, dim); see `VectorIndex.search`."""
        hidden = self._dropped if without is None else np.union1d(self._dropped, without)
        below = self._base.search(
            queries, k, within=within, without=hidden if len(hidden) else None
        )
        if not len(self._recent_ids):
            return below
        above = self._recent.search(queries, k, within=within, without=without)
        scores = np.concatenate([below[0], above[0]], axis=1)
        ids = np.concatenate([below[1], above[1]], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)
