"""What a collection is about: its pictures in groups, each named by words that set it apart.

Pictures and words are compared less their own means: what all pictures of a model share, and all
words, says nothing of a group (Liang et al., Mind the gap, NeurIPS 2022, on why they differ).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import TextEncoder, Vectors
from retrieval.errors import MmsearchError
from retrieval.organise.kept_vectors import KeptVectors
from retrieval.organise.vocabulary import encoded, things, without_article
from retrieval.vectors.base import Ids
from retrieval.vectors.faiss.kmeans import Partition, partition, separation

# How many groups are tried where none is asked for; each is to have some pictures.
_TRIED = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
_LEAST_PICTURES = 5
_SAMPLE = 5000
_TERMS = 3
# How much a word loses for fitting another group as well.
_SHARED = 0.5


@dataclass(frozen=True, eq=False)
class ThemeIds:
    """A group: the words that name it, the best first, and its items, the most typical first.

    `cosines`, (n,): how near each lies to the middle of the group.
    """

    terms: tuple[str, ...]
    ids: Ids
    cosines: NDArray[np.float32]


def find_themes(kept: KeptVectors, encoder: TextEncoder, k: int | None = None) -> list[ThemeIds]:
    """The groups of a collection, the largest first; k of them, or as many as stand apart best.

    Raises MmsearchError where there are fewer pictures than groups.
    """
    if k is not None and k > len(kept):
        raise MmsearchError(
            f"{len(kept)} pictures cannot be put into {k} groups: ask for fewer groups."
        )
    if not len(kept):
        return []
    vectors = _apart(kept.vectors)
    found = partition(vectors, k) if k is not None else _best_partition(vectors)
    # What has no other group to stand apart from is named by what all of it shows.
    middles = found.centroids if len(found) > 1 else _mean(kept.vectors)
    names = _names(middles, encoder)
    groups = []
    for group, terms in enumerate(names):
        rows = np.flatnonzero(found.group == group)
        order = rows[np.argsort(-found.cosine[rows], kind="stable")]
        groups.append(ThemeIds(terms, kept.ids[order], found.cosine[order]))
    return sorted(groups, key=lambda theme: (-len(theme.ids), theme.terms))


def _best_partition(vectors: Vectors) -> Partition:
    """As many groups as stand apart best, looked for on a sample where there are many vectors."""
    sample = np.ascontiguousarray(vectors[:: max(1, len(vectors) // _SAMPLE)])
    tried = [k for k in _TRIED if k * _LEAST_PICTURES <= len(sample)] or [1]
    scores = [separation(sample, partition(sample, k)) for k in tried]
    return partition(vectors, tried[int(np.argmax(scores))])


def _apart(vectors: NDArray[np.floating]) -> Vectors:
    """Vectors less their mean, of unit length again."""
    own = vectors.astype(np.float32)
    own -= own.mean(axis=0, dtype=np.float64).astype(np.float32)
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-6)
    return own


def _mean(vectors: NDArray[np.floating]) -> Vectors:
    mean = vectors.mean(axis=0, dtype=np.float64, keepdims=True)
    unit: Vectors = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)
    return unit


def _names(centroids: Vectors, encoder: TextEncoder) -> list[tuple[str, ...]]:
    """For each group the words that fit it and no other group as well."""
    names = things()
    fits = centroids @ _apart(encoded(names, encoder)).T
    if len(centroids) > 1:
        ordered = np.sort(fits, axis=0)
        # Of each word the best fit among the other groups.
        elsewhere = np.where(fits == ordered[-1], ordered[-2], ordered[-1])
        fits = fits - _SHARED * elsewhere
    return [_terms(names, row) for row in fits]


def _terms(names: tuple[str, ...], fits: NDArray[np.floating]) -> tuple[str, ...]:
    """The best names, of which none repeats a word of another."""
    chosen: list[str] = []
    for place in np.argsort(-fits, kind="stable").tolist():
        name = without_article(names[place])
        if not any(set(name.split()) & set(other.split()) for other in chosen):
            chosen.append(name)
        if len(chosen) == _TERMS:
            break
    return tuple(chosen)
