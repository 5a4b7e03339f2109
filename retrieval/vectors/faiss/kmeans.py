"""Vectors in groups by direction: spherical k-means (Dhillon and Modha, Machine Learning 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors

_ROUNDS = 20
_STARTS = 3
_POINTS_A_GROUP = 512
_BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class Partition:
    """Groups of n vectors: `centroids` of unit length (k, dim), and of each vector the `group`,
    int64 (n,), and its `cosine` with that group's centroid, float32 (n,).
    """

    centroids: Vectors
    group: NDArray[np.int64]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.centroids)


def partition(vectors: Vectors, k: int, seed: int = 0) -> Partition:
    """Unit vectors, (n, dim), in k groups; the same each time. Groups that stay empty are left out.

    Raises ValueError where there are fewer vectors than groups.
    """
    import faiss

    count, dim = vectors.shape
    if not 1 <= k <= count:
        raise ValueError(f"{count} vectors cannot be put into {k} groups.")
    kmeans = faiss.Kmeans(
        dim,
        k,
        niter=_ROUNDS,
        nredo=_STARTS,
        spherical=True,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_POINTS_A_GROUP,
    )
    kmeans.train(np.ascontiguousarray(vectors, dtype=np.float32))
    centroids: Vectors = kmeans.centroids
    group = np.empty(count, dtype=np.int64)
    cosine = np.empty(count, dtype=np.float32)
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = vectors[block] @ centroids.T
        group[block] = scores.argmax(axis=1)
        cosine[block] = scores.max(axis=1)
    used, renumbered = np.unique(group, return_inverse=True)
    return Partition(np.ascontiguousarray(centroids[used]), renumbered.astype(np.int64), cosine)


def separation(vectors: Vectors, found: Partition) -> float:
    """How much nearer vectors are to their own group than to the next: from -1 to 1.

    The simplified silhouette (Hruschka, de Castro and Campello, 2004), by distances to centroids.
    """
    if len(found) < 2:
        return -1.0
    distances = 1.0 - np.sort(vectors @ found.centroids.T, axis=1)[:, -2:]
    other, own = distances[:, 0], distances[:, 1]
    return float(((other - own) / np.maximum(np.maximum(other, own), 1e-9)).mean())
