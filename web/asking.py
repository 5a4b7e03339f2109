"""A question as it comes over the network, and its answers.

The same words, terms and options as on the command line.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from retrieval.errors import MmsearchError
from retrieval.paths import absolute
from retrieval.query.dates import parse_interval
from retrieval.query.filters import (
    And,
    Below,
    Filter,
    Megapixels,
    Month,
    Taken,
    TimeOfDay,
    conditions,
)
from retrieval.query.negation import read_negation
from retrieval.query.parse import format_filter, parse, parse_filter
from retrieval.query.query import Query
from retrieval.query.sequence import read_question
from retrieval.search.answer import as_hit
from retrieval.search.feedback import Feedback
from retrieval.search.hit import Hit
from web.records import with_addresses
from web.safety.errors import RefusedError

if TYPE_CHECKING:
    from retrieval.search.engine import SearchEngine
    from retrieval.search.explain import Explanation
    from retrieval.search.hit import Hits
    from web.service import Service

# What every picture fits.
EVERYTHING = Megapixels()
Id = Annotated[int, Field(ge=1, lt=2**63)]
Vector = NDArray[np.float32]


class AskedTerm(BaseModel):
    """A part of a question: words, an upload, or a vector of the index's space."""

    model_config = ConfigDict(extra="forbid")

    words: str | None = Field(None, max_length=2000)
    upload: str | None = Field(None, max_length=100)
    vector: list[Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None, min_length=1, max_length=8192
    )
    weight: float = Field(1.0, gt=0, le=100)
    wanted: bool = True


Picture = Annotated[int, Field(ge=1, lt=2**63)] | Annotated[str, Field(max_length=4096)]


class Conditions(BaseModel):
    """What answers have to fit, and what is marked."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    filter: str = Field("", max_length=4000, description="Conditions alone.")
    k: int = Field(50, ge=1, le=500, description="How many answers.")
    offset: int = Field(0, ge=0, le=100_000, description="Leave out so many of the best.")
    diverse: bool | Annotated[float, Field(ge=0, le=1)] | None = None
    min_score: float | None = Field(None, allow_inf_nan=False)
    after: str = Field("", max_length=40, description="Taken then or later, as 2021-06.")
    before: str = Field("", max_length=40, description="Taken before then.")
    within: str = Field("", max_length=4096, description="Below this folder.")
    feedback: Literal["kept", "none"] = Field("kept", description="Which marks move the question.")


class Asked(Conditions):
    """A question and how it is to be answered."""

    q: str = Field("", max_length=2000, description="Words, with conditions among them.")
    like: list[Id] = Field([], max_length=20, description="Indexed pictures to be alike, by id.")
    not_like: list[Id] = Field([], max_length=20, description="Pictures not to be like, by id.")
    unwanted: list[str] = Field(
        [], alias="not", max_length=20, description="Words for what is not wanted."
    )
    upload: list[str] = Field([], max_length=5, description="Uploaded pictures to be alike.")
    rerank: str = Field("auto", max_length=100)
    candidates: int = Field(50, ge=1, le=500)
    fusion: Literal["average", "rrf"] = "average"
    match: Literal["both", "pictures", "words"] = "both"
    relevant: bool = False
    fold: bool = True
    right: list[Id] = Field([], max_length=100, description="Right answers, by id.")
    wrong: list[Id] = Field([], max_length=100, description="Wrong answers, by id.")


class AskedAtLength(Asked):
    """A question as a program builds it, `retrieval.query.Query`: parts with their weights."""

    terms: list[AskedTerm] = Field([], max_length=50)
    following: list[Annotated[list[AskedTerm], Field(min_length=1, max_length=50)]] = Field(
        [], max_length=10, description="What is to be seen afterwards in a video, step by step."
    )
    right: list[Picture] = Field([], max_length=100)  # type: ignore[assignment]
    wrong: list[Picture] = Field([], max_length=100)  # type: ignore[assignment]


def answer(service: Service, asked: Asked) -> dict[str, Any]:
    """The answers as JSON takes them. Raises MmsearchError or RefusedError."""
    started = time.monotonic()
    engine = service.engine
    try:
        query, only = read(service, engine, asked)
        hits = find(service, engine, asked, query, only)
        undated = engine.count_undated() if _asks_for_times(only) else None
        words = query.words if query is not None else None
    except (TypeError, ValueError, OverflowError) as error:
        raise RefusedError(str(error)) from error
    return {
        "question": words,
        "filter": None if only is None else format_filter(only),
        "mode": "browse" if query is None else "search",
        "offset": asked.offset,
        "undated": undated,
        "hits": with_addresses(engine, hits),
        "took_ms": round(1000 * (time.monotonic() - started), 2),
    }


def read(
    service: Service, engine: SearchEngine, asked: Asked
) -> tuple[Query | None, Filter | None]:
    """What is asked, None where only conditions are, and the conditions."""
    parsed = parse(asked.q)
    only = condition(asked, parsed.filter)
    pictures = [
        *(vector_of(engine, item_id) for item_id in asked.like),
        *(service.uploads.vector(name, engine) for name in asked.upload),
    ]
    query = read_question(parsed.words) if parsed.words else None
    for picture in pictures:
        query = Query.of(picture) if query is None else query.like(picture)
    if isinstance(asked, AskedAtLength):
        query = _with_terms(service, engine, query, asked.terms)
        for terms in asked.following:
            step = _with_terms(service, engine, None, terms)
            if query is None or step is None:
                raise RefusedError("Say what is to be seen first.")
            query = query.then(step)
    unwanted: list[Any] = [
        *asked.unwanted,
        *(vector_of(engine, item_id) for item_id in asked.not_like),
    ]
    if unwanted and query is None:
        raise RefusedError("Say what is wanted too, in words or with a picture.")
    for thing in unwanted:
        assert query is not None
        query = query.minus(thing)
    return query, only


def joined(own: Filter | None, text: str) -> Filter | None:
    """A filter and one that is written, both to be fit; None where nothing is."""
    written = filter_of(text)
    found = [part for part in (own, written) if part is not None]
    return None if not found else found[0] if len(found) == 1 else And(tuple(found))


def condition(asked: Conditions, own: Filter | None = None) -> Filter | None:
    """All that answers have to fit, as one filter; None where nothing is."""
    found = [part for part in (own, filter_of(asked.filter)) if part is not None]
    if asked.after or asked.before:
        found.append(
            Taken(
                parse_interval(asked.after)[0] if asked.after else None,
                parse_interval(asked.before)[0] if asked.before else None,
            )
        )
    return None if not found else found[0] if len(found) == 1 else And(tuple(found))


def _with_terms(
    service: Service, engine: SearchEngine, query: Query | None, terms: list[AskedTerm]
) -> Query | None:
    for term in sorted(terms, key=lambda term: not term.wanted):
        values: list[Any] = [
            *([term.words] if term.words is not None else []),
            *([service.uploads.vector(term.upload, engine)] if term.upload is not None else []),
            *([np.array(term.vector, np.float32)] if term.vector is not None else []),
        ]
        if len(values) != 1:
            raise RefusedError("A part of a question is one of words, upload and vector.")
        if query is None:
            if not term.wanted:
                raise RefusedError("Say what is wanted too, in words or with a picture.")
            query = Query.of(values[0], term.weight)
        elif term.wanted:
            query = query.like(values[0], term.weight)
        else:
            query = query.minus(values[0], term.weight)
    return query


def feedback_of(engine: SearchEngine, asked: Asked) -> Feedback | Literal["kept"] | None:
    """What is marked for this question, else what is kept."""
    if not asked.right and not asked.wrong:
        return "kept" if asked.feedback == "kept" else None
    right, wrong = (
        tuple(hit_of(engine, one) if isinstance(one, int) else one for one in marked)
        for marked in (asked.right, asked.wrong)
    )
    return Feedback(right, wrong)


def find(
    service: Service, engine: SearchEngine, asked: Asked, query: Query | None, only: Filter | None
) -> Hits:
    """The answers to a question that was read."""
    if query is None:
        below = Below(absolute(asked.within)) if asked.within else None
        parts = [part for part in (only, below) if part is not None] or [EVERYTHING]
        chosen = parts[0] if len(parts) == 1 else And(tuple(parts))
        return engine.browse(chosen, asked.k, offset=asked.offset)
    return service.questions.search(
        engine,
        query if only is None else query.where(only),
        k=asked.k,
        offset=asked.offset,
        within=asked.within or None,
        rerank=asked.rerank,
        candidates=asked.candidates,
        fusion=asked.fusion,
        match=asked.match,
        relevant=asked.relevant,
        fold=asked.fold,
        diverse=False if asked.diverse is None else asked.diverse,
        min_score=asked.min_score,
        feedback=feedback_of(engine, asked),
    )


def vector_of(engine: SearchEngine, item_id: int) -> Vector:
    """The kept vector of an item, float32 (dim,); MmsearchError `not-found` where there is none."""
    vector: Vector = engine.vectors_of([hit_of(engine, item_id)])[0]
    return vector


def hits_of(engine: SearchEngine, item_ids: Sequence[int]) -> list[Hit]:
    """Items as answers without scores, in their order; unknown ids are left out."""
    items = engine.index.reader.items([one for one in dict.fromkeys(item_ids) if 0 < one < 2**63])
    return [as_hit(1, items[one], 0.0, 0.0) for one in item_ids if one in items]


def hit_of(engine: SearchEngine, item_id: int, question: str | None = None) -> Hit:
    """An item as an answer without a score; MmsearchError `not-found` for an unknown id."""
    items = engine.index.reader.items([item_id]) if 0 < item_id < 2**63 else {}
    if item_id not in items:
        raise MmsearchError(f"No picture has the id {item_id}.", code="not-found")
    return as_hit(1, items[item_id], 0.0, 0.0, question)


def explained(engine: SearchEngine, item_id: int, q: str) -> Explanation | None:
    """Where the words of a question, without its conditions, looked in a picture."""
    words = parse(q).words
    if not words:
        return None
    try:
        return engine.explain(hit_of(engine, item_id, read_negation(words).wanted[0].words))
    except ValueError as error:
        raise RefusedError(str(error)) from error


def filter_of(text: str) -> Filter | None:
    """A filter's text as data; None where it is empty."""
    return parse_filter(text) if text.strip() else None


def _asks_for_times(only: Filter | None) -> bool:
    found = conditions(only) if only is not None else []
    return any(isinstance(condition, Taken | TimeOfDay | Month) for condition in found)
