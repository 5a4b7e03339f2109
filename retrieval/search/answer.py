"""The road of questions: encoded, the nearest pictures found, the best of them looked at again.

Many questions go it together; each gets the very answers that it gets alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.records import Item
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.rerankers.base import Reranker, RerankQuery
from retrieval.search.encode import QueryEncoder
from retrieval.search.first_stage import Candidates, find_candidates
from retrieval.search.hit import Hit, Hits
from retrieval.search.live_index import LiveIndex
from retrieval.search.question import Question
from retrieval.search.rerank import Looked

# So many at a time, which bounds the memory that their candidates take.
_QUESTIONS_AT_ONCE = 64


def answer(
    questions: Sequence[Question], live: LiveIndex, encoder: QueryEncoder, reader: QuickReader
) -> list[Hits]:
    """The answers to each question, best first."""
    hits: list[Hits] = []
    for start in range(0, len(questions), _QUESTIONS_AT_ONCE):
        hits += _answer(questions[start : start + _QUESTIONS_AT_ONCE], live, encoder, reader)
    return hits


def rank_above_rest(looked: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of the candidates, then those of the rest, moved below the worst candidate's.

    A fused score is no cosine, so that the two do not compare as they are. The rest keep their
    order and their distances.
    """
    if not len(rest) or not len(looked):
        return np.concatenate([looked, rest])
    return np.concatenate([looked, rest - max(0.0, rest.max() - looked.min())])


def as_hit(
    rank: int,
    image: Item,
    score: float,
    similarity: float,
    text: str | None = None,
    reranker: str | None = None,
) -> Hit:
    """An item as an answer."""
    return Hit(
        rank=rank,
        score=score,
        path=image.path,
        item_id=image.id,
        similarity=similarity,
        width_px=image.width_px,
        height_px=image.height_px,
        question=text,
        metadata=image.metadata,
        time_ms=image.time_ms,
        reranker=reranker,
    )


# -- inside -----------------------------------------------------------------------------------


def _answer(
    questions: Sequence[Question], live: LiveIndex, encoder: QueryEncoder, reader: QuickReader
) -> list[Hits]:
    queries = [question.query for question in questions]
    space, encoded, snapshot = live.ask(lambda towers: encoder.encode(queries, towers))
    rerankers = [
        None if question.text is None else space.rerank.reranker(question.rerank)
        for question in questions
    ]
    counts = [
        question.last if reranker is None else max(question.last, question.candidates)
        for question, reranker in zip(questions, rerankers, strict=True)
    ]
    found = find_candidates(questions, encoded, counts, snapshot.index, reader)
    looked = space.rerank.look(
        [
            _to_look_at(question, reranker, RerankQuery(question.text or "", own.wanted[0]), best)
            for question, reranker, own, best in zip(
                questions, rerankers, encoded, found, strict=True
            )
        ]
    )
    return [
        _ranked(question, candidates, fused, None if reranker is None else question.rerank)
        for question, candidates, fused, reranker in zip(
            questions, found, looked, rerankers, strict=True
        )
    ]


def _to_look_at(
    question: Question, reranker: Reranker | None, query: RerankQuery, found: Candidates
) -> Looked | None:
    if reranker is None or not found.images:
        return None
    best = slice(question.candidates)
    return Looked(reranker, query, found.images[best], found.similarities[best])


def _ranked(
    question: Question,
    found: Candidates,
    fused: NDArray[np.float64] | None,
    ranked_by: str | None,
) -> Hits:
    """The answers that are wanted, by the scores of both stages."""
    scores = np.asarray(found.similarities, dtype=np.float64) - found.pushed
    if fused is not None:
        scores = rank_above_rest(
            fused - found.pushed[: question.candidates], scores[question.candidates :]
        )
    best = np.argsort(-scores, kind="stable")[question.offset : question.last]
    return Hits(
        as_hit(
            rank,
            found.images[i],
            float(scores[i]),
            found.similarities[i],
            question.query.words,
            ranked_by,
        )
        for rank, i in enumerate(best.tolist(), start=question.offset + 1)
    )
