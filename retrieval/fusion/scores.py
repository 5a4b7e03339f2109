"""First-stage and second-stage scores of a question's candidates made into one, and the weight.

NumPy only. Where a second score is missing (NaN), the mean of the list's other second scores
stands in, so that a picture that could not be looked at is neither favoured nor punished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Below this a list's scores are as good as equal, and dividing by it would only blow up noise.
_SMALLEST_DEVIATION = 1e-9
_ADDED_WEIGHTS = tuple(float(w) for w in (0.0, *np.geomspace(0.001, 1.0, 31)))
_SHARES = tuple(float(w) for w in np.linspace(0.0, 1.0, 41))


@runtime_checkable
class ScoreFusion(Protocol):
    """A rule that joins two scores of each candidate."""

    def fuse(self, first: ArrayLike, second: ArrayLike) -> Floats:
        """Fused scores, larger is better, from two arrays of one shape, (n,) or (q, n).

        The last axis is the list of a question's candidates.
        """
        ...


@dataclass(frozen=True)
class AddedScore:
    """first + weight · second: for a second stage whose scores have a scale of their own.

    What the compact reranker's training fits its weight for. It keeps the first stage's scale, so
    a fused score still reads like a cosine, and lists of different questions compare.
    """

    weight: float

    def fuse(self, first: ArrayLike, second: ArrayLike) -> Floats:
        """Fused scores; a list with no second score at all stays as it is."""
        known = np.asarray(first, dtype=np.float64)
        return known + self.weight * _completed(np.asarray(second, dtype=np.float64))


@dataclass(frozen=True)
class StandardisedSum:
    """(1 − weight) · z(first) + weight · z(second), z to zero mean and unit deviation in the list.

    For scores of unlike kinds, as a cosine and a log-probability: only how a candidate stands
    among its rivals counts (z-score normalisation with a weighted sum, see Wu, Crestani and Bi,
    *Evaluating Score Normalization Methods in Data Fusion*, AIRS 2006). `weight` is in [0, 1].
    """

    weight: float = 0.5

    def fuse(self, first: ArrayLike, second: ArrayLike) -> Floats:
        """Fused scores; a list with no second score at all keeps the first stage's order."""
        ours = _standardised(np.asarray(first, dtype=np.float64))
        theirs = _standardised(_completed(np.asarray(second, dtype=np.float64)))
        return (1.0 - self.weight) * ours + self.weight * theirs


def fit_weight(
    first: ArrayLike,
    second: ArrayLike,
    relevant: ArrayLike,
    rule: Callable[[float], ScoreFusion] = StandardisedSum,
    weights: Sequence[float] | None = None,
    cutoffs: Sequence[int] = (1,),
) -> float:
    """The weight of `rule` that puts right answers first most often, on lists held out.

    `first`, `second` (q, n) are scores of q questions' candidates, `relevant` bool (q, n) marks
    right ones (a question without any tells nothing). The best recall at 1 wins, or the best sum
    of the recalls at several `cutoffs`; among equals the best mean reciprocal rank, and then the
    smallest weight, which strays least from the first stage. `weights` is the grid; by default one
    that suits the rule. Ties between candidates count against the right one. Raises ValueError
    where no question has a right candidate.
    """
    similarities = np.asarray(first, dtype=np.float64)
    looked = np.asarray(second, dtype=np.float64)
    right = np.asarray(relevant, dtype=bool)
    answerable = right.any(axis=1)
    if not answerable.any():
        raise ValueError("No question has a right answer among its candidates.")
    grid = weights or (_ADDED_WEIGHTS if rule is AddedScore else _SHARES)
    similarities, looked, right = similarities[answerable], looked[answerable], right[answerable]

    def quality(weight: float) -> tuple[float, float, float]:
        ranks = _first_right_ranks(rule(weight).fuse(similarities, looked), right)
        recalls = sum(float((ranks <= cutoff).mean()) for cutoff in cutoffs)
        return recalls, float((1.0 / ranks).mean()), -weight

    return max(grid, key=quality)


# -- inside -----------------------------------------------------------------------------------


def _completed(scores: Floats) -> Floats:
    """Missing scores as the mean of their list's others; zeros where there are none."""
    there = np.isfinite(scores)
    count = there.sum(axis=-1, keepdims=True)
    total = np.where(there, scores, 0.0).sum(axis=-1, keepdims=True)
    return np.where(there, scores, total / np.maximum(count, 1))


def _standardised(scores: Floats) -> Floats:
    if scores.shape[-1] == 0:
        return scores
    centred = scores - scores.mean(axis=-1, keepdims=True)
    deviation: Floats = scores.std(axis=-1, keepdims=True)
    # A list of equal scores tells its candidates apart as little after as before: zeros.
    unit: Floats = np.where(
        deviation > _SMALLEST_DEVIATION, centred / np.maximum(deviation, _SMALLEST_DEVIATION), 0.0
    )
    return unit


def _first_right_ranks(scores: Floats, right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rank from 1 of each question's best right candidate, (q,)."""
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    ranks: NDArray[np.int64] = 1 + ((scores >= best) & ~right).sum(axis=1)
    return ranks
