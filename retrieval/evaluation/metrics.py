"""Measures of a ranking: recall, median rank, MRR, nDCG, and bootstrap intervals. NumPy only.

A question may have several right answers (five captions a picture). Questions and items carry a
group number; an item is right for a question when their groups are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

CUTOFFS = (1, 5, 10)
NDCG_DEPTH = 10
BOOTSTRAP_SAMPLES = 1000
# Rows of a score matrix handled at once, so that comparing them stays within some tens of MB.
_CHUNK_CELLS = 8_000_000


@dataclass(frozen=True)
class Ranks:
    """Where the right answers of q questions came, counted from 1, best first.

    `all`: (q, r), 0 where a question has fewer than r right answers. `groups`: (q,), the
    question's group; questions of one group (captions of one picture) are not independent.
    """

    all: Integers
    groups: Integers

    @property
    def first(self) -> Integers:
        """(q,), the rank of the best placed right answer."""
        best: Integers = self.all[:, 0]
        return best


@dataclass(frozen=True)
class Estimate:
    """A measure and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """The measures of one set of ranks. Recalls, `mrr` and `ndcg_at_10` lie in [0, 1]."""

    questions: int
    recall_at_1: Estimate
    recall_at_5: Estimate
    recall_at_10: Estimate
    median_rank: Estimate
    mrr: Estimate
    ndcg_at_10: Estimate


def rank_right_answers(scores: Scores, questions: Integers, items: Integers) -> Ranks:
    """Rank the items of each question by score, larger first, and find the right ones.

    Ties count against the ranking: among equal scores wrong answers stand before right ones, so
    a model that says the same of everything comes last rather than first.

    Args:
        scores: float (q, n); NaN is not allowed.
        questions: int (q,), the group of each question.
        items: int (n,), the group of each item.

    Raises:
        ValueError: the shapes disagree, a score is NaN, or a question has no right answer.
    """
    if scores.shape != (len(questions), len(items)):
        raise ValueError(f"scores {scores.shape} for {len(questions)} × {len(items)}")
    step = max(1, _CHUNK_CELLS // max(1, len(items)))
    chunks = [
        _ranks_of_rows(scores[start : start + step], questions[start : start + step], items)
        for start in range(0, len(questions), step)
    ]
    width = max((chunk.shape[1] for chunk in chunks), default=1)
    padded = [np.pad(chunk, ((0, 0), (0, width - chunk.shape[1]))) for chunk in chunks]
    ranks = np.concatenate(padded) if padded else np.zeros((0, 1), np.int64)
    return Ranks(ranks, np.asarray(questions, dtype=np.int64))


def hits_at(ranks: Ranks, k: int) -> Floats:
    """(q,), 1 where a right answer is among the first k, else 0.

    Its mean is what image-text retrieval calls recall at k.
    """
    return (ranks.first <= k).astype(np.float64)


def reciprocal_ranks(ranks: Ranks) -> Floats:
    """(q,), 1 / rank of the best placed right answer; its mean is the MRR."""
    reciprocal: Floats = 1.0 / ranks.first
    return reciprocal


def ndcg_at(ranks: Ranks, k: int) -> Floats:
    """(q,), normalised discounted cumulative gain of the first k, with gains of 0 and 1.

    Järvelin and Kekäläinen, *Cumulated gain-based evaluation of IR techniques* (2002), with the
    discount 1 / log2(1 + rank).
    """
    discounts = 1.0 / np.log2(1.0 + np.arange(1, k + 1))
    counted = (ranks.all > 0) & (ranks.all <= k)
    gains = np.where(counted, discounts[np.clip(ranks.all, 1, k) - 1], 0.0).sum(axis=1)
    right = np.minimum((ranks.all > 0).sum(axis=1), k)
    ndcg: Floats = gains / np.cumsum(discounts)[right - 1]
    return ndcg


def summarise(ranks: Ranks, *, seed: int = 0, samples: int = BOOTSTRAP_SAMPLES) -> Summary:
    """All measures with percentile bootstrap intervals, drawing whole groups of questions.

    Raises ValueError where there are no questions.
    """
    if not len(ranks.groups):
        raise ValueError("no questions to summarise")
    draws = _draw_groups(ranks.groups, seed, samples)

    def mean(values: Floats) -> Estimate:
        return _estimate(float(values.mean()), draws.means(values))

    first = ranks.first.astype(np.float64)
    return Summary(
        questions=len(first),
        recall_at_1=mean(hits_at(ranks, 1)),
        recall_at_5=mean(hits_at(ranks, 5)),
        recall_at_10=mean(hits_at(ranks, 10)),
        median_rank=_estimate(float(np.median(first)), draws.medians(first)),
        mrr=mean(reciprocal_ranks(ranks)),
        ndcg_at_10=mean(ndcg_at(ranks, NDCG_DEPTH)),
    )


def paired_difference(
    before: Ranks,
    after: Ranks,
    measure: Callable[[Ranks], Floats],
    *,
    seed: int = 0,
    samples: int = BOOTSTRAP_SAMPLES,
) -> Estimate:
    """How much the mean of `measure` gains from `before` to `after` on the same questions.

    Both are resampled together, so that what makes a question hard cancels out.
    Raises ValueError where the questions are not the same.
    """
    if not np.array_equal(before.groups, after.groups):
        raise ValueError("before and after are not of the same questions")
    gain = measure(after) - measure(before)
    return _estimate(float(gain.mean()), _draw_groups(before.groups, seed, samples).means(gain))


# -- ranks ------------------------------------------------------------------------------------


def _ranks_of_rows(scores: Scores, questions: Integers, items: Integers) -> Integers:
    """(rows, r): ascending ranks of the right items, 0 for none."""
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    right = questions[:, None] == items[None, :]
    counts = right.sum(axis=1)
    if len(counts) and not counts.all():
        raise ValueError("a question has no right answer among the items")
    width = int(counts.max(initial=1))
    # Best right scores first; what is not right sinks to the end as -inf.
    own = np.where(right, scores, -np.inf)
    own = -np.sort(-_largest(own, width), axis=1)
    wrong = np.where(right, np.nan, scores)
    ranks = np.zeros(own.shape, dtype=np.int64)
    for place in range(width):
        # NaN compares false, so right items do not count as being in the way.
        before = (wrong >= own[:, place : place + 1]).sum(axis=1)
        ranks[:, place] = np.where(place < counts, before + place + 1, 0)
    return ranks


def _largest(values: Scores, count: int) -> Scores:
    """(rows, count): the largest values of each row, in no order."""
    if count >= values.shape[1]:
        return values
    return np.partition(values, values.shape[1] - count, axis=1)[:, -count:]


# -- bootstrap --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draws:
    """Bootstrap draws of whole groups.

    `index`: (q,), each question's group as 0 … g-1. `weights`: (samples, g), how often each
    group was drawn.
    """

    index: Integers
    weights: Floats

    def means(self, values: Floats) -> Floats:
        """(samples,), the mean of (q,) values over the questions of the drawn groups."""
        sums = np.bincount(self.index, weights=values)
        sizes = np.bincount(self.index)
        drawn: Floats = (self.weights @ sums) / (self.weights @ sizes)
        return drawn

    def medians(self, values: Floats) -> Floats:
        """(samples,), the median of (q,) values over the questions of the drawn groups."""
        order = np.argsort(values, kind="stable")
        ascending, index = values[order], self.index[order]
        medians = np.empty(len(self.weights))
        for row, weights in enumerate(self.weights):
            reached = np.cumsum(weights[index])
            low, high = np.searchsorted(reached, [reached[-1] / 2, reached[-1] / 2 + 0.5])
            medians[row] = (ascending[low] + ascending[high]) / 2
        return medians


def _draw_groups(groups: Integers, seed: int, samples: int) -> _Draws:
    """Draw as many groups as there are, with replacement, `samples` times."""
    _, index = np.unique(groups, return_inverse=True)
    count = int(index.max()) + 1
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1.0 / count), size=samples)
    return _Draws(index.astype(np.int64), weights.astype(np.float64))


def _estimate(value: float, drawn: Floats) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
