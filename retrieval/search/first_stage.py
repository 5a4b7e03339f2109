"""The first stage: the nearest pictures, those with the words, and what is not wanted pushed back.

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
from retrieval.fusion.vectors import weighted_average
from retrieval.search.compose import POOL, push_back, reciprocal_ranks
from retrieval.search.encode import Encoded
from retrieval.search.feedback import moved, of_marks
from retrieval.search.question import Question
from retrieval.search.words import NO_NAME, WordMatches, join_words
from retrieval.vectors.base import Ids, VectorIndex


@dataclass(frozen=True, eq=False)
class Candidates:
    """The pictures that show most of what is wanted or have its words, by score, best first.

    `similarities`: how near they are. Of each, float64 (n,): `pushed`, what is taken for showing
    what is not wanted, `added`, what its words add, and `raised`, how much nearer it is to the
    question as marks have moved it. `by_name`, int8 (n,): how its file is asked for by name, see
    `words`.
    """

    images: list[Item]
    similarities: list[float]
    pushed: NDArray[np.float64]
    added: NDArray[np.float64]
    by_name: NDArray[np.int8]
    raised: NDArray[np.float64]


def find_candidates(
    questions: Sequence[Question],
    encoded: Sequence[Encoded],
    counts: Sequence[int],
    index: VectorIndex,
    reader: QuickReader,
) -> list[Candidates]:
    """Each question's best candidates, `counts` of them at most."""
    vectors = [
        _vector(question, own, reader) for question, own in zip(questions, encoded, strict=True)
    ]
    found = [
        join_words(question, vector, len(nearest[1]) or count, nearest, index, reader)
        for question, vector, count, nearest in zip(
            questions,
            vectors,
            counts,
            _nearest(questions, encoded, vectors, counts, index),
            strict=True,
        )
    ]
    wanted = {int(id_) for _, ids, _ in found for id_ in ids.tolist() if id_ >= 0}
    items = reader.items(sorted(wanted))
    return [
        _candidates(question, own, *nearest, items, reader)
        for question, own, nearest in zip(questions, encoded, found, strict=True)
    ]


def _nearest(
    questions: Sequence[Question],
    encoded: Sequence[Encoded],
    vectors: Sequence[NDArray[np.float32]],
    counts: Sequence[int],
    index: VectorIndex,
) -> list[tuple[NDArray[np.float32], Ids]]:
    """Scores, falling, and ids of each question's nearest pictures; -1 where there are no more."""
    found: list[tuple[NDArray[np.float32], Ids] | None] = [None] * len(questions)
    # Questions of one vector that look as far, among the same pictures, in one search.
    together: dict[tuple[int, int], list[int]] = {}
    for number, (question, own) in enumerate(zip(questions, encoded, strict=True)):
        count = counts[number] if question.query.is_plain else max(counts[number], POOL)
        if question.match == "words":
            found[number] = np.empty(0, np.float32), np.empty(0, np.int64)
            continue
        if question.marks is not None:
            # Those that are marked as wrong are left out.
            count += len(question.marks.wrong)
        elif question.fusion == "rrf" and len(own.wanted) > 1:
            weights = [term.weight for term in question.query.wanted]
            stacked = np.concatenate([encoding.vectors for encoding in own.wanted])
            found[number] = _by_ranks(stacked, weights, count, index, question.only)
            continue
        together.setdefault((count, id(question.only)), []).append(number)
    for (count, _), numbers in together.items():
        asked = np.concatenate([vectors[number] for number in numbers])
        scores, ids = index.search(asked, count, within=questions[numbers[0]].only)
        for row, number in enumerate(numbers):
            found[number] = scores[row], ids[row]
    return [result for result in found if result is not None]


def _vector(question: Question, encoded: Encoded, reader: QuickReader) -> NDArray[np.float32]:
    """What is wanted as one vector, (1, dim), moved by what is marked."""
    vector = _unmoved(question, encoded)
    if question.marks is None:
        return vector
    stored = reader.vectors([*question.marks.right, *question.marks.wrong])
    return moved(vector, *of_marks(question.marks, stored, vector.shape[1]))


def _unmoved(question: Question, encoded: Encoded) -> NDArray[np.float32]:
    stacked = np.concatenate([encoding.vectors for encoding in encoded.wanted])
    weights = [term.weight for term in question.query.wanted]
    return stacked if len(stacked) == 1 else weighted_average(stacked, weights)


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
    words: WordMatches,
    items: dict[int, Item],
    reader: QuickReader,
) -> Candidates:
    raised = np.zeros(len(ids))
    if question.marks is not None:
        is_left = ~np.isin(ids, question.marks.wrong)
        scores, ids = scores[is_left], ids[is_left]
        cosines = _cosines(_unmoved(question, encoded), ids, reader)
        scores, raised = cosines, scores.astype(np.float64) - cosines
    added, by_name = words.of(ids)
    least = -np.inf if question.min_score is None else question.min_score
    # Whoever names a file wants it, whatever it shows.
    is_enough = (scores + added >= least) | (by_name != NO_NAME)
    # A picture may have been removed between the two look-ups.
    kept = [row for row in np.flatnonzero(is_enough).tolist() if int(ids[row]) in items]
    images = [items[int(ids[row])] for row in kept]
    first, added, by_name, raised = scores[kept], added[kept], by_name[kept], raised[kept]
    if not encoded.unwanted:
        return Candidates(images, first.tolist(), np.zeros(len(images)), added, by_name, raised)
    pushed = _pushed_back(question, images, encoded.unwanted, reader)
    order = np.lexsort((pushed - first - added - raised, -by_name))
    return Candidates(
        [images[row] for row in order],
        first[order].tolist(),
        pushed[order],
        added[order],
        by_name[order],
        raised[order],
    )


def _cosines(vector: NDArray[np.float32], ids: Ids, reader: QuickReader) -> NDArray[np.float32]:
    """How near the pictures with these ids are to a vector, (1, dim); those that are gone: 0."""
    stored = reader.vectors([id_ for id_ in ids.tolist() if id_ >= 0])
    none = np.zeros(vector.shape[1], np.float16)
    shown = np.array([stored.get(id_, none) for id_ in ids.tolist()], dtype=np.float32)
    return np.asarray(shown.reshape(len(ids), vector.shape[1]) @ vector[0], dtype=np.float32)


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
