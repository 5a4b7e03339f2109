"""The first stage: the pictures whose vectors are nearest, and what is not wanted pushed back.

Questions that look at the same pictures are searched for together; each finds what it finds alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.records import Item
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.encoders.base import TextEncoding
from retrieval.search.compose import POOL, average, push_back, reciprocal_ranks
from retrieval.search.encode import Encoded
from retrieval.search.question import Question
from retrieval.vectors.base import Ids, VectorIndex


@dataclass(frozen=True, eq=False)
class Candidates:
    """The pictures that show most of what is wanted, by score, best first.

    `similarities`: how near they are. `pushed`: what is taken from each for showing what is not
    wanted, float64 (n,).
    """

    images: list[Item]
    similarities: list[float]
    pushed: NDArray[np.float64]


def find_candidates(
    questions: Sequence[Question],
    encoded: Sequence[Encoded],
    counts: Sequence[int],
    index: VectorIndex,
    reader: QuickReader,
) -> list[Candidates]:
    """Each question's best candidates, `counts` of them at most."""
    found = _nearest(questions, encoded, counts, index)
    wanted = {int(id_) for _, ids in found for id_ in ids.tolist() if id_ >= 0}
    items = reader.items(sorted(wanted))
    return [
        _candidates(question, own, *nearest, items, reader)
        for question, own, nearest in zip(questions, encoded, found, strict=True)
    ]


def _nearest(
    questions: Sequence[Question],
    encoded: Sequence[Encoded],
    counts: Sequence[int],
    index: VectorIndex,
) -> list[tuple[NDArray[np.float32], Ids]]:
    """Scores, falling, and ids of each question's nearest pictures; -1 where there are no more."""
    found: list[tuple[NDArray[np.float32], Ids] | None] = [None] * len(questions)
    # Questions of one vector that look as far, among the same pictures, in one search.
    together: dict[tuple[int, int], list[int]] = {}
    vectors: dict[int, NDArray[np.float32]] = {}
    for number, (question, own) in enumerate(zip(questions, encoded, strict=True)):
        count = counts[number] if question.query.is_plain else max(counts[number], POOL)
        weights = [term.weight for term in question.query.wanted]
        stacked = np.concatenate([encoding.vectors for encoding in own.wanted])
        if question.fusion == "rrf" and len(stacked) > 1:
            found[number] = _by_ranks(stacked, weights, count, index, question.only)
            continue
        vectors[number] = stacked if len(stacked) == 1 else average(stacked, weights)
        together.setdefault((count, id(question.only)), []).append(number)
    for (count, _), numbers in together.items():
        asked = np.concatenate([vectors[number] for number in numbers])
        scores, ids = index.search(asked, count, within=questions[numbers[0]].only)
        for row, number in enumerate(numbers):
            found[number] = scores[row], ids[row]
    return [result for result in found if result is not None]


def _by_ranks(
    vectors: NDArray[np.float32],
    weights: Sequence[float],
    count: int,
    index: VectorIndex,
    only: Ids | None,
) -> tuple[NDArray[np.float32], Ids]:
    """One ranking of several vectors' rankings."""
    _, found = index.search(vectors, count, within=only)
    rankings = [[id_ for id_ in row if id_ >= 0] for row in found.tolist()]
    fused = reciprocal_ranks(rankings, weights)
    ids = np.array(sorted(fused, key=fused.__getitem__, reverse=True), dtype=np.int64)
    return np.array([fused[id_] for id_ in ids.tolist()], dtype=np.float32), ids


def _candidates(
    question: Question,
    encoded: Encoded,
    scores: NDArray[np.float32],
    ids: Ids,
    items: dict[int, Item],
    reader: QuickReader,
) -> Candidates:
    pairs = [
        (items[item_id], similarity)
        for similarity, item_id in zip(scores.tolist(), ids.tolist(), strict=True)
        # A picture may have been removed between the two look-ups.
        if item_id in items and (question.min_score is None or similarity >= question.min_score)
    ]
    images = [image for image, _ in pairs]
    first = [similarity for _, similarity in pairs]
    if not encoded.unwanted:
        return Candidates(images, first, np.zeros(len(images)))
    pushed = _pushed_back(question, images, encoded.unwanted, reader)
    order = np.argsort(pushed - np.asarray(first), kind="stable")
    return Candidates([images[i] for i in order], [first[i] for i in order], pushed[order])


def _pushed_back(
    question: Question, images: list[Item], unwanted: list[TextEncoding], reader: QuickReader
) -> NDArray[np.float64]:
    """What is taken from each picture's score for showing what is not wanted."""
    stored = reader.vectors([image.id for image in images])
    dim = unwanted[0].vectors.shape[1]
    # One that was removed meanwhile shows nothing.
    shown = [stored.get(image.id, np.zeros(dim, np.float16)) for image in images]
    return push_back(
        np.array(shown, dtype=np.float32).reshape(len(images), dim),
        np.concatenate([encoding.vectors for encoding in unwanted]),
        [term.weight for term in question.query.unwanted],
    )
