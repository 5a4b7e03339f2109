"""The road of questions: encoded, the nearest pictures found, the best of them looked at again.

Many questions go it together; each gets the very answers that it gets alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.records import Item
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.rerankers.base import Reranker, RerankQuery
from retrieval.rerankers.compact import CompactReranker
from retrieval.search.diversify import POOL, diversified
from retrieval.search.encode import Encoded, QueryEncoder
from retrieval.search.first_stage import Candidates, find_candidates
from retrieval.search.hit import Hit, Hits
from retrieval.search.live_index import LiveIndex
from retrieval.search.question import Question
from retrieval.search.relevance import Relevance, RelevanceModel, require_judged
from retrieval.search.rerank import Looked
from retrieval.search.words import NO_NAME, lifted

# Fewer than these are looked for whatever is there.
_UNCOUNTED = 10_000
# So many at a time, which bounds the memory that their candidates take.
_QUESTIONS_AT_ONCE = 64


def answer(
    questions: Sequence[Question], live: LiveIndex, encoder: QueryEncoder, reader: QuickReader
) -> list[Hits]:
    """The answers to each question, best first."""
    if any(question.query.following for question in questions):
        return _with_ordered(questions, live, encoder, reader)
    folded = [place for place, question in enumerate(questions) if question.fold]
    if folded:
        return _with_folded(questions, folded, live, encoder, reader)
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
    relevance: float | None = None,
    fits: bool | None = None,
    word_score: float = 0.0,
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
        relevance=relevance,
        fits=fits,
        word_score=word_score,
        captions=image.captions,
    )


# -- inside -----------------------------------------------------------------------------------


def _with_ordered(
    questions: Sequence[Question], live: LiveIndex, encoder: QueryEncoder, reader: QuickReader
) -> list[Hits]:
    # Here, since only questions about order need it.
    from retrieval.search.ordered import answer_ordered, in_one_picture, is_ordered

    ordered = {
        place: answer_ordered(question, live, encoder, reader)
        for place, question in enumerate(questions)
        if is_ordered(question, reader)
    }
    others = [place for place in range(len(questions)) if place not in ordered]
    plain = [
        replace(questions[place], query=in_one_picture(questions[place].query))
        if questions[place].query.following
        else questions[place]
        for place in others
    ]
    hits = ordered | dict(zip(others, answer(plain, live, encoder, reader), strict=True))
    return [hits[place] for place in range(len(questions))]


def _with_folded(
    questions: Sequence[Question],
    folded: Sequence[int],
    live: LiveIndex,
    encoder: QueryEncoder,
    reader: QuickReader,
) -> list[Hits]:
    # Here, since a plain question does without.
    from retrieval.search.fold import answer_folded, rule_for

    def plainly(asked: Sequence[Question]) -> list[Hits]:
        return answer([replace(one, fold=False) for one in asked], live, encoder, reader)

    others = [place for place in range(len(questions)) if place not in set(folded)]
    hits = dict(zip(others, plainly([questions[place] for place in others]), strict=True))
    found = answer_folded(
        [questions[place] for place in folded],
        plainly,
        reader.vectors,
        rule_for(live.space.made_by.name),
    )
    hits |= dict(zip(folded, found, strict=True))
    return [hits[place] for place in range(len(questions))]


def _answer(
    questions: Sequence[Question], live: LiveIndex, encoder: QueryEncoder, reader: QuickReader
) -> list[Hits]:
    queries = [question.query for question in questions]
    space, encoded, snapshot = live.ask(lambda towers: encoder.encode(queries, towers))
    for question in questions:
        if question.relevant:
            require_judged(space.relevance, question.text, space.made_by.name)
    rerankers = [
        None if question.text is None else _usable(space.rerank.reranker(question.rerank), own)
        for question, own in zip(questions, encoded, strict=True)
    ]
    counts = [
        max(
            question.last,
            0 if reranker is None else question.candidates,
            0 if question.diversity is None else POOL,
        )
        for question, reranker in zip(questions, rerankers, strict=True)
    ]
    if max(counts, default=0) > _UNCOUNTED:
        # What is asked for must not take memory that what is there does not.
        there = max(1, reader.full.count_items())
        counts = [min(count, there) for count in counts]
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
        _ranked(
            question,
            candidates,
            fused,
            _judged(question, own, candidates, fused, reranker, space.relevance),
            None if reranker is None else question.rerank,
            reader,
        )
        for question, own, candidates, fused, reranker in zip(
            questions, encoded, found, looked, rerankers, strict=True
        )
    ]


def _usable(reranker: Reranker | None, encoded: Encoded) -> Reranker | None:
    """The reranker, None where it needs words of the model's own language and there are none."""
    if reranker is not None and reranker.needs_tokens and encoded.wanted[0].in_other_language:
        return None
    return reranker


def _to_look_at(
    question: Question, reranker: Reranker | None, query: RerankQuery, found: Candidates
) -> Looked | None:
    if reranker is None or not found.images:
        return None
    best = slice(question.candidates)
    return Looked(reranker, query, found.images[best], _worth(found)[best].tolist())


def _judged(
    question: Question,
    encoded: Encoded,
    found: Candidates,
    fused: NDArray[np.float64] | None,
    reranker: Reranker | None,
    model: RelevanceModel | None,
) -> Relevance | None:
    """How likely each candidate fits; None where nothing says so."""
    if question.text is None or model is None:
        return None
    added = None
    # What another reranker adds is on a scale of its own, of which nothing is known.
    if fused is not None and isinstance(reranker, CompactReranker) and reranker.is_built_in:
        added = fused - _worth(found)[: len(fused)]
    judged = model.judge(question.text, encoded.wanted[0], _worth(found) - found.pushed, added)
    if judged is None:
        return None
    # Whoever names a file wants it.
    is_named = found.by_name != NO_NAME
    return Relevance(np.where(is_named, 1.0, judged.probability), judged.fits | is_named)


def _worth(found: Candidates) -> NDArray[np.float64]:
    """How near each picture is, with what its words add, (n,)."""
    return np.asarray(found.similarities, dtype=np.float64) + found.added


def _ranked(
    question: Question,
    found: Candidates,
    fused: NDArray[np.float64] | None,
    judged: Relevance | None,
    ranked_by: str | None,
    reader: QuickReader,
) -> Hits:
    """The answers that are wanted, by the scores of both stages."""
    moved = found.raised - found.pushed
    scores = _worth(found) + moved
    if fused is not None:
        scores = rank_above_rest(
            fused + moved[: question.candidates], scores[question.candidates :]
        )
    scores = lifted(scores, found.by_name)
    order = np.argsort(-scores, kind="stable")
    if question.relevant and judged is not None:
        order = order[judged.fits[order]]
    if question.diversity is not None and len(order):
        order = _diversified(question, found, scores, order, reader)
    best = order[question.offset : question.last]
    return Hits(
        as_hit(
            rank,
            found.images[i],
            float(scores[i]),
            found.similarities[i],
            question.query.words,
            ranked_by,
            None if judged is None else float(judged.probability[i]),
            None if judged is None else bool(judged.fits[i]),
            float(found.added[i]),
        )
        for rank, i in enumerate(best.tolist(), start=question.offset + 1)
    )


def _diversified(
    question: Question,
    found: Candidates,
    scores: NDArray[np.float64],
    best: NDArray[np.int64],
    reader: QuickReader,
) -> NDArray[np.int64]:
    """The best ones in an order in which they differ from one another."""
    assert question.diversity is not None
    best = best[: max(POOL, question.last)]
    ids = [found.images[i].id for i in best.tolist()]
    stored = reader.vectors(ids)
    dim = len(next(iter(stored.values()), ()))
    # One that was removed meanwhile is like none.
    vectors = np.array([stored.get(id_, np.zeros(dim)) for id_ in ids], dtype=np.float32)
    return best[diversified(scores[best], vectors, question.diversity, question.last)]
