"""Questions about order, "a dog runs, then jumps into water": moments of one video in that order.

Each step is held against every moment of a video; the best moments in the order of the steps are
found by dynamic programming over the video's time, as Bojanowski et al. align actions with a video
(Weakly Supervised Action Labeling in Videos Under Ordering Constraints, ECCV 2014). With running
maxima it takes steps × moments. What lies far apart in time counts a little less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.moments import Moment, has_videos, ids_of_moments, moments_beside
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.fusion.vectors import weighted_average
from retrieval.query.query import Query
from retrieval.search.answer import as_hit
from retrieval.search.compose import push_back
from retrieval.search.encode import Encoded, QueryEncoder
from retrieval.search.hit import Hit, Hits
from retrieval.search.live_index import LiveIndex
from retrieval.search.question import Question
from retrieval.vectors.base import Ids, VectorIndex

# So many moments of each step's nearest say which videos are looked through, and so many of these.
_NEAREST = 500
_MOST_VIDEOS = 100
# What a minute between two steps takes from the score: ten take what tells a good match from none.
_COST_A_MINUTE = 0.02


@dataclass(frozen=True)
class OrderedMatch:
    """The rows of the moments that answer the steps, ascending, and the mean of their scores."""

    rows: tuple[int, ...]
    score: float


def match_in_order(
    scores: NDArray[np.floating], times_ms: Sequence[int], cost_a_minute: float = _COST_A_MINUTE
) -> OrderedMatch | None:
    """The best moments for steps in their order, each later than the one before.

    `scores`, (steps, moments): how well each moment answers each step; `times_ms` ascend. None
    where there are fewer moments than steps.
    """
    steps, moments = scores.shape
    if moments < steps:
        return None
    # A cost that grows with time alone splits into one share of either end.
    cost = cost_a_minute / 60_000 * np.asarray(times_ms, dtype=np.float64)
    best = scores[0].astype(np.float64)
    came_from = np.zeros((steps, moments), dtype=np.int64)
    for step in range(1, steps):
        before = best + cost
        highest = np.maximum.accumulate(before)
        # The latest row that reached the running maximum.
        is_new = np.r_[True, before[1:] > highest[:-1]]
        reached = np.maximum.accumulate(np.where(is_new, np.arange(moments), 0))
        best = np.full(moments, -np.inf)
        best[1:] = scores[step, 1:] - cost[1:] + highest[:-1]
        came_from[step, 1:] = reached[:-1]
        # Too early for so many steps.
        best[:step] = -np.inf
    rows = [int(best.argmax())]
    for step in range(steps - 1, 0, -1):
        rows.append(int(came_from[step, rows[-1]]))
    return OrderedMatch(tuple(reversed(rows)), float(best[rows[0]]) / steps)


def is_ordered(question: Question, reader: QuickReader) -> bool:
    """Whether a question is about order and there is a video that may answer it."""
    return bool(question.query.following) and has_videos(reader.raw_rows)


def in_one_picture(query: Query) -> Query:
    """A question about order for pictures, which have none: all of its words together."""
    steps = (query, *query.following)
    words = [step.words for step in steps]
    if not all(words):
        return replace(query, following=())
    unwanted = tuple(term for step in steps for term in step.unwanted)
    return replace(
        Query.of(", then ".join(word for word in words if word)),
        unwanted=unwanted,
        filter=query.filter,
    )


def answer_ordered(
    question: Question, live: LiveIndex, encoder: QueryEncoder, reader: QuickReader
) -> Hits:
    """The videos in which the steps follow each other best, one answer each.

    An answer is the moment of the first step; `Hit.like` has those of the others in their order.
    """
    steps = [question.query, *question.query.following]
    _space, encoded, snapshot = live.ask(lambda towers: encoder.encode(steps, towers))
    vectors = np.concatenate([_vector(step, own) for step, own in zip(steps, encoded, strict=True)])
    allowed = _allowed(question, reader)
    files = _likely_videos(vectors, allowed, snapshot.index, reader)
    may_answer = set(allowed.tolist())
    found: list[tuple[OrderedMatch, list[Moment], NDArray[np.float64]]] = []
    for moments in files:
        own = [moment for moment in moments if moment.item_id in may_answer]
        stored = reader.vectors([moment.item_id for moment in own])
        own = [moment for moment in own if moment.item_id in stored]
        if len(own) < len(steps):
            continue
        shown = np.array([stored[moment.item_id] for moment in own], dtype=np.float32)
        scores = (vectors @ shown.T).astype(np.float64)
        for row, (step, parts) in enumerate(zip(steps, encoded, strict=True)):
            if parts.unwanted:
                unwanted = np.concatenate([encoding.vectors for encoding in parts.unwanted])
                weights = [term.weight for term in step.unwanted]
                scores[row] -= push_back(shown, unwanted, weights)
        match = match_in_order(scores, [moment.time_ms or 0 for moment in own])
        if match is not None and match.score >= (question.min_score or -np.inf):
            found.append((match, own, scores))
    found.sort(key=lambda one: -one[0].score)
    best = found[question.offset : question.last]
    return Hits(
        hit
        for rank, (match, moments, scores) in enumerate(best, start=question.offset + 1)
        if (hit := _as_answer(rank, match, moments, scores, steps, reader)) is not None
    )


def _vector(step: Query, encoded: Encoded) -> NDArray[np.float32]:
    """What a step wants as one vector, (1, dim)."""
    stacked = np.concatenate([encoding.vectors for encoding in encoded.wanted])
    weights = [term.weight for term in step.wanted]
    return stacked if len(stacked) == 1 else weighted_average(stacked, weights)


def _allowed(question: Question, reader: QuickReader) -> Ids:
    moments = np.array(ids_of_moments(reader.raw_rows), dtype=np.int64)
    return moments if question.only is None else np.intersect1d(moments, question.only)


def _likely_videos(
    vectors: NDArray[np.float32], allowed: Ids, index: VectorIndex, reader: QuickReader
) -> list[list[Moment]]:
    """The moments of videos that show something near to one of the steps, the likeliest first."""
    if not len(allowed):
        return []
    scores, ids = index.search(vectors, _NEAREST, within=allowed)
    near = {
        int(id_): float(score)
        for row in range(len(ids))
        for id_, score in zip(ids[row], scores[row], strict=True)
        if id_ >= 0
    }
    by_file = moments_beside(reader.raw_rows, sorted(near))
    files = list(by_file.values())
    if len(files) > _MOST_VIDEOS:
        best = [_best_of_steps(moments, ids, scores) for moments in files]
        order = np.argsort(best)[::-1][:_MOST_VIDEOS]
        files = [files[place] for place in order.tolist()]
    return files


def _best_of_steps(moments: list[Moment], ids: Ids, scores: NDArray[np.float32]) -> float:
    """The sum over steps of the best score among a video's moments that were found."""
    own = np.isin(ids, [moment.item_id for moment in moments])
    return float(np.where(own, scores, scores.min()).max(axis=1).sum())


def _as_answer(
    rank: int,
    match: OrderedMatch,
    moments: list[Moment],
    scores: NDArray[np.float64],
    steps: Sequence[Query],
    reader: QuickReader,
) -> Hit | None:
    chosen = [moments[row].item_id for row in match.rows]
    items = reader.items(chosen)
    # It may have been removed between the two look-ups.
    if any(id_ not in items for id_ in chosen):
        return None
    first, *rest = [
        as_hit(rank, items[id_], match.score, float(scores[place, row]), step.words)
        for place, (id_, row, step) in enumerate(zip(chosen, match.rows, steps, strict=True))
    ]
    return replace(first, like=tuple(rest))
