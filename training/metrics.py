"""Recall at k in both directions, ranks, and bootstrap intervals. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Integers = NDArray[np.int64]
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True)
class Recall:
    """How often, in per cent, a right answer stands among the first 1, 5 and 10."""

    at_1: float
    at_5: float
    at_10: float

    def __str__(self) -> str:
        return f"{self.at_1:.1f}/{self.at_5:.1f}/{self.at_10:.1f}"


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def text_to_image_ranks(texts: Vectors, pictures: Vectors, owner: Integers) -> Integers:
    """For each text the rank (0 is best) of the picture it was written for.

    texts (t, dim), pictures (p, dim), owner int64 (t,): the row of each text's picture.
    """
    return ranks_of(texts @ pictures.T, owner)


def image_to_text_ranks(texts: Vectors, pictures: Vectors, owner: Integers) -> Integers:
    """For each picture the rank of the best placed of its own texts."""
    similarities = pictures @ texts.T
    own = owner[None, :] == np.arange(len(pictures))[:, None]
    best = np.where(own, similarities, -np.inf).max(axis=1)
    better: Integers = (np.where(own, -np.inf, similarities) > best[:, None]).sum(axis=1)
    return better


def ranks_of(scores: Vectors, right: Integers) -> Integers:
    """The rank of column right[i] in row i of the scores (t, p); ties count against it."""
    own = scores[np.arange(len(scores)), right]
    ranks: Integers = (scores >= own[:, None]).sum(axis=1) - 1
    return ranks


def recall(ranks: Integers) -> Recall:
    """Recall at 1, 5 and 10 of these ranks."""
    return Recall(*(100.0 * float((ranks < k).mean()) for k in CUTOFFS))


def bootstrap_difference(
    before: Integers, after: Integers, groups: Integers, seed: int, samples: int = 2000
) -> Interval:
    """How many points of R@1 `after` gains on `before`, drawing whole groups with replacement.

    The captions of one picture are not independent, so pictures are drawn, not captions.
    """
    gain = 100.0 * ((after < 1).astype(float) - (before < 1))
    sums = np.bincount(groups, weights=gain)
    counts = np.bincount(groups)
    draws = np.random.default_rng(seed).integers(len(sums), size=(samples, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(gain.mean()), float(low), float(high))
