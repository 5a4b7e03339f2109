"""What FAISS finds, made exact by the catalogue's own vectors where that is worth reading them.

A collection of many millions fits into memory as a few dozen bytes a vector, which tell near from
far and no more. What they find is compared again with the vectors as they are, which lie in the
catalogue anyway: no second copy of them is kept, and a question reads some hundreds.

Where a search is kept to a few pictures, these are read and compared, whatever the index: that is
sooner done than to look for them among all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import ExactVectors, Halves, Ids
from retrieval.vectors.exact import nearest_of
from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.kinds import EXACT, RABITQ, family_of

if TYPE_CHECKING:
    from retrieval.catalog import Catalog, QuickReader

# How many are compared again, and how many more for each answer that is asked for: of twenty
# million vectors the ten nearest are among the best five hundred candidates nearly always.
_CANDIDATES = 400
_CANDIDATES_A_HIT = 10
# To read one vector takes as long as to pass by so many that are not wanted; a few are read in any
# case, since the index has to be looked into as well.
_PASSED_BY_A_READ = 400
_FEW = 200


class RefinedIndex:
    """`coarse`, made exact by the vectors of `exact` (a `VectorIndex`).

    Candidates are compared again where the codes of `coarse` are too short to order them.
    """

    def __init__(self, coarse: FaissIndex, exact: ExactVectors) -> None:
        self._coarse = coarse
        self._exact = exact
        self._compares_again = family_of(coarse.kind) == RABITQ
        self._latest: tuple[Ids, tuple[Ids, Halves]] | None = None

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
        if within is not None and len(within) <= max(_FEW, len(self._coarse) // _PASSED_BY_A_READ):
            wanted = within if without is None else np.setdiff1d(within, without)
            few = np.broadcast_to(wanted, (len(queries), len(wanted)))
            return nearest_of(few, queries, k, *self._vectors_within(within))
        if not self._compares_again:
            return self._coarse.search(queries, k, within=within, without=without)
        depth = _CANDIDATES + _CANDIDATES_A_HIT * k
        _, candidates = self._coarse.search(queries, depth, within=within, without=without)
        asked = np.unique(candidates)
        return nearest_of(candidates, queries, k, *self._exact.vectors_of(asked[asked >= 0]))

    def _vectors_within(self, within: Ids) -> tuple[Ids, Halves]:
        """The vectors of these ids; the latest are kept, since a filter is asked on and on."""
        latest = self._latest
        if latest is None or latest[0] is not within:
            latest = self._latest = (within, self._exact.vectors_of(within))
        return latest[1]


def searchable(index: FaissIndex, catalog: Catalog | QuickReader) -> FaissIndex | RefinedIndex:
    """The index as it answers: what has no exact vectors of its own takes the catalogue's."""
    return index if family_of(index.kind) == EXACT else RefinedIndex(index, catalog)
