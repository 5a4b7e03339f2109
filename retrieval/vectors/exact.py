"""Candidates put in order by their vectors as they are."""

from __future__ import annotations

import numpy as np

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Halves, Ids


def nearest_of(
    candidates: Ids, queries: Vectors, k: int, held: Ids, halves: Halves
) -> tuple[Vectors, Ids]:
    """Of each query's candidates, ids (q, c) with -1 for none, the k nearest.

    `queries` (q, dim); `held` (n,) ascending and `halves` (n, dim) are the vectors as they are.
    Returns scores (q, k) falling and ids (q, k), as `VectorIndex.search` does. Candidates without a
    vector are left out, and all of them where the vectors are of another size: the index has just
    moved to another model.
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    if not len(held) or halves.shape[1] != queries.shape[1]:
        return scores, ids
    vectors = halves.astype(np.float32)
    for row, some in enumerate(candidates):
        places = _places(held, some)
        cosines = vectors[places] @ queries[row]
        best = np.argsort(-cosines, kind="stable")[:k]
        scores[row, : len(best)] = cosines[best]
        ids[row, : len(best)] = held[places[best]]
    return scores, ids


def _places(held: Ids, wanted: Ids) -> Ids:
    """Where, among ascending ids, those stand that are wanted and held, ascending."""
    asked = np.sort(wanted)
    places = np.minimum(np.searchsorted(held, asked), len(held) - 1)
    found: Ids = places[held[places] == asked]
    return found
