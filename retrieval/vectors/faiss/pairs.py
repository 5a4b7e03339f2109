"""Which of many vectors lie near one another: a self-join by FAISS, never n² in Python.

A few are compared with all, block by block. Of many, each is compared with those of the nearest
lists of an inverted file alone: what is as near as copies are lies in the same list or beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.vectors.base import Ids

# Up to so many are compared with all others: 60,000 take some twenty seconds on two cores.
_COMPARED_WITH_ALL = 60_000
_BLOCK = 4096
_LISTS_LOOKED_INTO = 6
_KMEANS_ROUNDS = 10
_KMEANS_POINTS_A_LIST = 64


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of rows with their cosines, the nearest pair first: each array is (p,)."""

    one: Ids
    other: Ids
    cosines: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cosines)


def near_pairs(
    vectors: NDArray[np.float16],
    least_cosine: float,
    *,
    nearest: int = 16,
    advance: Callable[[int], None] = lambda count: None,
) -> NearPairs:
    """Pairs of rows of unit vectors, (n, dim), whose cosine is at least so much.

    Of each row only its `nearest` are looked at. `advance` is told how many rows are done. With
    more than 60,000 rows a pair may be missed.
    """
    import faiss

    count, dim = vectors.shape
    if count < 2:
        return _none()
    if count <= _COMPARED_WITH_ALL:
        index = faiss.IndexFlatIP(dim)
    else:
        lists = 2 ** round(math.log2(4 * math.sqrt(count)))
        index = faiss.index_factory(dim, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = _KMEANS_ROUNDS
        index.cp.max_points_per_centroid = _KMEANS_POINTS_A_LIST
        step = max(1, count // (lists * _KMEANS_POINTS_A_LIST))
        index.train(vectors[::step].astype(np.float32))
        index.nprobe = _LISTS_LOOKED_INTO
    for start in range(0, count, _BLOCK):
        index.add(vectors[start : start + _BLOCK].astype(np.float32))
    # A little lower, since one byte a number is not exact; the cosines are computed anew.
    bound = least_cosine - 0.02
    ones, others = [], []
    for start in range(0, count, _BLOCK):
        asked = vectors[start : start + _BLOCK].astype(np.float32)
        scores, found = index.search(asked, min(nearest + 1, count))
        rows = np.arange(start, start + len(asked), dtype=np.int64)[:, np.newaxis]
        near = (scores >= bound) & (found >= 0) & (found != rows)
        ones.append(np.broadcast_to(rows, found.shape)[near])
        others.append(found[near])
        advance(len(asked))
    return _sorted(vectors, np.concatenate(ones), np.concatenate(others), least_cosine)


def _sorted(vectors: NDArray[np.float16], one: Ids, other: Ids, least: float) -> NearPairs:
    """Each pair once, with its cosine."""
    pairs = np.unique(np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1), axis=0)
    cosines = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _BLOCK):
        block = pairs[start : start + _BLOCK]
        left, right = (vectors[block[:, side]].astype(np.float32) for side in (0, 1))
        cosines[start : start + _BLOCK] = (left * right).sum(axis=1)
    kept = np.flatnonzero(cosines >= least)
    order = kept[np.argsort(-cosines[kept], kind="stable")]
    return NearPairs(pairs[order, 0], pairs[order, 1], cosines[order])


def _none() -> NearPairs:
    nothing = np.empty(0, dtype=np.int64)
    return NearPairs(nothing, nothing, np.empty(0, dtype=np.float32))
