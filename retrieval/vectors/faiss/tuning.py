"""How hard an index must look, found by measuring it against exact search on its own vectors."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Ids, VectorIndex

TARGET_RECALL = 0.97
_QUESTIONS = 256
_DEPTH = 10
# Words lie far from the pictures they describe; a picture's own vector would be too easy to find.
_QUESTION_COSINE = 0.6
_SPREAD_FROM = 16_384
_FIRST_EFFORT = 4
_EFFORT_STEP = 1.3
# Where so much effort does not reach the target, the codes may be what keeps it from it.
_MUCH_EFFORT = 64
_NEARLY_ALL = 0.99


class TunableIndex(VectorIndex, Protocol):
    """An index that looks as far as it is told to."""

    effort: int

    @property
    def largest_effort(self) -> int:
        """Beyond this, `effort` finds no more; 0 where it looks at everything."""
        ...


def make_questions(vectors: Vectors, seed: int = 0) -> Vectors:
    """Unit vectors (≤ 256, dim) that lie to the given ones, (n, dim), as words do to pictures.

    Each is a stored vector turned away until its cosine is 0.6, in a random direction of those in
    which the stored ones differ from each other: words differ from pictures in what pictures show.
    Measured with a million vectors, captions are a little easier to answer than these, and harder
    than ones that are turned in any direction.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(vectors))
    chosen = vectors[order[:_QUESTIONS]].astype(np.float32)
    spread = vectors[order[:_SPREAD_FROM]].astype(np.float32)
    spread -= spread.mean(axis=0)
    weights = random.standard_normal((len(chosen), len(spread)), dtype=np.float32)
    noise = weights @ spread
    noise -= (noise * chosen).sum(axis=1, keepdims=True) * chosen
    noise /= np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), np.float32(1e-12))
    turned = _QUESTION_COSINE * chosen + math.sqrt(1 - _QUESTION_COSINE**2) * noise
    return np.ascontiguousarray(turned, dtype=np.float32)


def measure_recall(index: VectorIndex, questions: Vectors, exact_ids: Ids) -> float:
    """Share of the exact ten nearest, int64 (q, 10), that the index finds: recall@10."""
    _scores, ids = index.search(questions, exact_ids.shape[1])
    found = [
        len(set(mine.tolist()) & set(theirs.tolist()))
        for mine, theirs in zip(ids, exact_ids, strict=True)
    ]
    return sum(found) / exact_ids.size


def tune(index: TunableIndex, questions: Vectors, exact_ids: Ids) -> float:
    """Raise `index.effort` until recall@10 reaches the target; returns the recall reached.

    Codes of one byte a number mistake near ties in a large collection, which no effort mends: where
    looking everywhere misses the target too, nearly all of what that finds will do. An index that
    looks at every vector has no effort to raise: its recall is only measured.
    """
    index.effort = min(_FIRST_EFFORT, index.largest_effort)
    target: float | None = None
    while True:
        recall = measure_recall(index, questions, exact_ids)
        if recall >= TARGET_RECALL or index.effort >= index.largest_effort:
            return recall
        if index.effort >= _MUCH_EFFORT:
            if target is None:
                target = _NEARLY_ALL * _attainable_recall(index, questions, exact_ids)
            if recall >= target:
                return recall
        index.effort = min(index.largest_effort, math.ceil(index.effort * _EFFORT_STEP))


def _attainable_recall(index: TunableIndex, questions: Vectors, exact_ids: Ids) -> float:
    """What looking everywhere finds."""
    effort = index.effort
    index.effort = index.largest_effort
    try:
        return measure_recall(index, questions, exact_ids)
    finally:
        index.effort = effort


def merge_nearest(
    best: tuple[Vectors, Ids] | None, questions: Vectors, ids: Ids, vectors: Vectors
) -> tuple[Vectors, Ids]:
    """Exact nearest ten, chunk by chunk: fold one more chunk, (n, dim), into the best so far."""
    scores = questions @ vectors.T
    labels = np.broadcast_to(ids, scores.shape)
    if best is not None:
        scores = np.concatenate([best[0], scores], axis=1)
        labels = np.concatenate([best[1], labels], axis=1)
    depth = min(_DEPTH, scores.shape[1])
    top = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    return np.take_along_axis(scores, top, axis=1), np.take_along_axis(labels, top, axis=1)
