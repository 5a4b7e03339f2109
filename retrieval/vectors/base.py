"""The seam of the vector index: ids and vectors in, nearest ids out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors

Ids = NDArray[np.int64]


class VectorIndex(Protocol):
    """Nearest neighbours by inner product, which is the cosine since all vectors are unit length.

    Searching is thread-safe as long as nothing is added or removed meanwhile.
    """

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        ...

    @property
    def kind(self) -> str:
        """How it searches, in the words of a FAISS factory string."""
        ...

    def search(
        self, queries: Vectors, k: int, *, within: Ids | None = None, without: Ids | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest of each query, (q, dim): scores (q, k) falling, ids (q, k).

        `within` restricts the search to these ids, `without` leaves ids out. Where fewer than k
        are found, the rest of a row has id -1 and score -inf.
        """
        ...
