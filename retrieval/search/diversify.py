"""Answers that differ from one another: maximal marginal relevance.

After Carbonell and Goldstein, *The use of MMR, diversity-based reranking for reordering documents
and producing summaries* (SIGIR 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# What was best in balance, see `benchmarks/diversity.py`.
DEFAULT_BALANCE = 0.7
# The answers are chosen among so many of the best, the same ones for each page.
POOL = 200


def diversified(
    scores: NDArray[np.floating], vectors: NDArray[np.floating], balance: float, count: int
) -> NDArray[np.int64]:
    """Positions of `count` of n candidates, (count,), in the order in which they are chosen.

    Each is the one with the largest balance · score − (1 − balance) · likeness, where likeness is
    its cosine with the nearest of those chosen already. `scores` (n,) are brought to 0 … 1 first,
    since those of a second stage have a scale of their own; `vectors` (n, dim) are unit vectors.
    With a balance of 1 the order is that of the scores.
    """
    n = len(scores)
    relevance = _to_unit_range(np.asarray(scores, dtype=np.float64))
    likeness = np.zeros(n)
    left = np.ones(n, dtype=bool)
    chosen = np.empty(min(count, n), dtype=np.int64)
    for place in range(len(chosen)):
        gain = balance * relevance - (1.0 - balance) * likeness
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        chosen[place] = best
        left[best] = False
        cosines = np.asarray(vectors @ vectors[best], dtype=np.float64)
        likeness = cosines if place == 0 else np.maximum(likeness, cosines)
    return chosen


def _to_unit_range(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(scores) or scores.max() == scores.min():
        return np.zeros_like(scores)
    return np.asarray((scores - scores.min()) / (scores.max() - scores.min()))
