"""Composed questions: what is wanted as one ranking, and what is not wanted pushed back.

Several things that are wanted are taken together as the weighted average of their vectors, which
finds pictures that show all of them; or by reciprocal rank fusion of their rankings, which finds
pictures that show any of them (Cormack, Clarke and Büttcher, Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods, SIGIR 2009). Which serves which was measured, see
`benchmarks/composed.py`.

What is not wanted takes from a picture's score what it shows of it above the usual. Subtracting
the vector as a whole would also pull towards whatever is unlike it, and lose what is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors

Fusion = Literal["average", "rrf"]
FUSIONS: tuple[Fusion, ...] = ("average", "rrf")
# How many candidates are weighed: those that show what is not wanted must leave enough behind.
POOL = 500
_RANK_OFFSET = 60
# Of what a picture shows of the unwanted above the usual; measured.
_PUSH = 0.5
# The usual: what a quarter of the candidates stay below.
_USUAL = 0.25


def reciprocal_ranks(
    rankings: Sequence[Sequence[int]], weights: Sequence[float]
) -> dict[int, float]:
    """Scores by id from several rankings, best first; one at the head of all scores 1."""
    scores: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, id_ in enumerate(ranking):
            share = weight * (_RANK_OFFSET + 1) / (_RANK_OFFSET + 1 + rank)
            scores[id_] = scores.get(id_, 0.0) + share / sum(weights)
    return scores


def push_back(
    candidates: NDArray[np.float32], unwanted: Vectors, weights: Sequence[float]
) -> NDArray[np.float64]:
    """What is to be taken from each candidate's score, float64 (n,), zero for most.

    `candidates` (n, dim), the best first, and `unwanted` (u, dim) are unit vectors.
    """
    taken = np.zeros(len(candidates))
    if not len(candidates):
        return taken
    shown = candidates @ unwanted.T
    # The first ones alone, so that the next page's answers are pushed back as this one's.
    usual = np.quantile(shown[:POOL], _USUAL, axis=0)
    for column, weight in enumerate(weights):
        taken += _PUSH * weight * np.maximum(0.0, shown[:, column] - usual[column])
    return taken
