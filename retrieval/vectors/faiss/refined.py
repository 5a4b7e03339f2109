"""Few bits a vector to find candidates by, and the catalogue's own vectors to choose among them.

A collection of many millions fits into memory as a few dozen bytes a vector, which tell near from
far and no more. What they find is compared again with the vectors as they are, which lie in the
catalogue anyway: no second copy of them is kept, and a question reads a thousand or two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import ExactVectors, Ids
from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.kinds import RABITQ, family_of

if TYPE_CHECKING:
    from retrieval.catalog import Catalog, QuickReader

# How many are compared again, and how many more for each answer that is asked for: of twenty
# million vectors the ten nearest are among the best thousand candidates nearly always.
_CANDIDATES = 1_000
_CANDIDATES_A_HIT = 10
# So many are read and compared in less time than it takes to look for the better ones among them.
_READ_WHOLE = 2_000


class RefinedIndex:
    """`coarse`, with its candidates scored again by the vectors of `exact` (a `VectorIndex`)."""

    def __init__(self, coarse: FaissIndex, exact: ExactVectors) -> None:
        self._coarse = coarse
        self._exact = exact

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._coarse.dim

    @property
    def kind(self) -> str:
        """How the coarse index searches, in the words of a FAISS factory string."""
        return self._coarse.kind

    @property
    def effort(self) -> int:
        """How far the coarse index looks."""
        return self._coarse.effort

    @effort.setter
    def effort(self, effort: int) -> None:
        self._coarse.effort = effort

    @property
    def largest_effort(self) -> int:
        """Beyond this, `effort` finds no more."""
        return self._coarse.largest_effort

    def search(
        self, queries: Vectors, k: int, *, within: Ids | None = None, without: Ids | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest of each query, (q, dim); see `VectorIndex.search`."""
        if within is not None and len(within) <= _READ_WHOLE:
            wanted = within if without is None else np.setdiff1d(within, without)
            candidates = np.broadcast_to(wanted, (len(queries), len(wanted)))
        else:
            depth = _CANDIDATES + _CANDIDATES_A_HIT * k
            _, candidates = self._coarse.search(queries, depth, within=within, without=without)
        return self._nearest(queries, k, candidates)

    def _nearest(self, queries: Vectors, k: int, candidates: Ids) -> tuple[Vectors, Ids]:
        """Of each query's candidates, ids (q, c) with -1 for none, the k nearest."""
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        asked = np.unique(candidates)
        held, halves = self._exact.vectors_of(asked[asked >= 0])
        if not len(held):
            return scores, ids
        vectors = halves.astype(np.float32)
        for row, some in enumerate(candidates):
            places = _places(held, some)
            exact = vectors[places] @ queries[row]
            best = np.argsort(-exact, kind="stable")[:k]
            scores[row, : len(best)] = exact[best]
            ids[row, : len(best)] = held[places[best]]
        return scores, ids


def _places(held: Ids, wanted: Ids) -> Ids:
    """Where, among ascending ids, those stand that are wanted and held, ascending."""
    asked = np.sort(wanted)
    places = np.minimum(np.searchsorted(held, asked), len(held) - 1)
    found: Ids = places[held[places] == asked]
    return found


def searchable(index: FaissIndex, catalog: Catalog | QuickReader) -> FaissIndex | RefinedIndex:
    """The index as it answers: what has few bits a vector is refined by those of the catalogue."""
    if family_of(index.kind) != RABITQ:
        return index
    return RefinedIndex(index, catalog)
