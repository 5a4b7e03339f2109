"""A question as it comes over the network, and its answers.

The same words, terms and options as on the command line.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from retrieval.errors import MmsearchError
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
from retrieval.search.restrict import absolute
from web.records import with_addresses
from web.safety.errors import RefusedError

if TYPE_CHECKING:
    from retrieval.search.engine import SearchEngine
    from retrieval.search.hit import Hits
    from web.service import Service

# What every picture fits.
EVERYTHING = Megapixels()
Id = int


class Asked(BaseModel):
    """A question and how it is to be answered."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    q: str = Field("", max_length=2000, description="Words, with conditions among them.")
    filter: str = Field("", max_length=4000, description="Conditions alone.")
    k: int = Field(50, ge=1, le=500, description="How many answers.")
    offset: int = Field(0, ge=0, le=100_000, description="Leave out so many of the best.")
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
    diverse: float | None = Field(None, ge=0, le=1)
    min_score: float | None = Field(None, allow_inf_nan=False)
    after: str = Field("", max_length=40, description="Taken then or later, as 2021-06.")
    before: str = Field("", max_length=40, description="Taken before then.")
    within: str = Field("", max_length=4096, description="Below this folder.")
    as_written: bool = Field(
        False, description="Take the words as they are: no conditions, no negation in them."
    )


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
    words, only = asked.q.strip(), None
    if not asked.as_written:
        parsed = parse(asked.q)
        words, only = parsed.words, parsed.filter
    found = [only] if only is not None else []
    if asked.filter.strip():
        found.append(parse_filter(asked.filter))
    if asked.within:
        found.append(Below(absolute(asked.within)))
    if asked.after or asked.before:
        found.append(
            Taken(
                parse_interval(asked.after)[0] if asked.after else None,
                parse_interval(asked.before)[0] if asked.before else None,
            )
        )
    condition = None if not found else found[0] if len(found) == 1 else And(tuple(found))
    pictures = [
        *(vector_of(engine, item_id) for item_id in asked.like),
        *(service.uploads.get(name) for name in asked.upload),
    ]
    query: Query | None = None
    if words:
        query = Query.of(words) if asked.as_written else read_negation(words)
    for picture in pictures:
        query = Query.of(picture) if query is None else query.like(picture)
    unwanted = [*asked.unwanted, *(vector_of(engine, item_id) for item_id in asked.not_like)]
    if unwanted and query is None:
        raise RefusedError("Say what is wanted too, in words or with a picture.")
    for thing in unwanted:
        assert query is not None
        query = query.minus(thing)
    return query, condition


def find(
    service: Service, engine: SearchEngine, asked: Asked, query: Query | None, only: Filter | None
) -> Hits:
    """The answers to a question that was read."""
    if query is None:
        return engine.browse(EVERYTHING if only is None else only, asked.k, offset=asked.offset)
    return service.questions.search(
        engine,
        query if only is None else query.where(only),
        k=asked.k,
        offset=asked.offset,
        rerank=asked.rerank,
        candidates=asked.candidates,
        fusion=asked.fusion,
        match=asked.match,
        relevant=asked.relevant,
        fold=asked.fold,
        diverse=False if asked.diverse is None else asked.diverse,
        min_score=asked.min_score,
    )


def vector_of(engine: SearchEngine, item_id: int) -> Any:
    """The kept vector of an item, float32 (dim,); MmsearchError `not-found` where there is none."""
    found = engine.catalog.vectors([item_id]) if 0 < item_id < 2**63 else {}
    if item_id not in found:
        raise MmsearchError(f"No picture has the id {item_id}.", code="not-found")
    return found[item_id].astype("float32")


def filter_of(text: str) -> Filter | None:
    """A filter's text as data; None where it is empty."""
    return parse_filter(text) if text.strip() else None


def _asks_for_times(only: Filter | None) -> bool:
    found = conditions(only) if only is not None else []
    return any(isinstance(condition, Taken | TimeOfDay | Month) for condition in found)
