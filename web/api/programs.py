"""What programs ask beside answers: explanations, vectors, what is similar to a path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from retrieval.errors import MmsearchError
from retrieval.search.embed import indexed_id
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hit
from web.api.service_of import Serving
from web.asking import Conditions, Id, Picture, condition, hit_of
from web.records import with_addresses
from web.safety.answers import JSONAnswer
from web.safety.errors import RefusedError

router = APIRouter(tags=["programs"])
Text = Annotated[str, Field(max_length=2000)]


class Like(Conditions):
    """An indexed picture, by its id or its path, and what those like it have to fit."""

    picture: Picture


class Explained(BaseModel):
    """An answer as it was given."""

    model_config = ConfigDict(extra="forbid")

    id: Id
    question: Text | None = None
    similarity: float = Field(0.0, allow_inf_nan=False)
    reranker: Annotated[str, Field(max_length=100)] | None = None


class ToExplain(BaseModel):
    """Answers."""

    model_config = ConfigDict(extra="forbid")

    hits: list[Explained] = Field(max_length=500)


class ToEmbed(BaseModel):
    """What vectors are wanted of: one of these."""

    model_config = ConfigDict(extra="forbid")

    texts: list[Text] | None = Field(None, max_length=1000)
    uploads: list[Annotated[str, Field(max_length=100)]] | None = Field(None, max_length=1000)
    pictures: list[Picture] | None = Field(None, max_length=1000)


@router.post("/similar")
def similar(service: Serving, like: Like) -> JSONAnswer:
    """Pictures like an indexed one; without itself."""
    engine = service.engine
    try:
        found = engine.similar(
            picture_of(engine, like.picture),
            like.k,
            offset=like.offset,
            filter=condition(like),
            within=like.within or None,
            min_score=like.min_score,
            diverse=False if like.diverse is None else like.diverse,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise RefusedError(str(error)) from error
    return JSONAnswer({"hits": with_addresses(engine, found)})


@router.post("/explain")
def explain(service: Serving, asked: ToExplain) -> JSONAnswer:
    """Where the words of each answer's question looked, in full; null where that is not known."""
    engine = service.engine
    items = engine.index.reader.items([one.id for one in asked.hits])
    hits = [
        Hit(
            1,
            0.0,
            items[one.id].path if one.id in items else Path(),
            one.id,
            one.similarity,
            0,
            0,
            one.question,
            reranker=one.reranker,
        )
        for one in asked.hits
    ]
    try:
        found = engine.explain_many(hits)
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from error
    records: list[dict[str, Any] | None] = [
        None
        if one is None
        else {
            "words": list(one.words),
            "heat": one.heat.tolist(),
            "presence": one.presence.tolist(),
            "found": list(one.found),
            "score": one.score,
            "similarity": one.similarity,
        }
        for one in found
    ]
    return JSONAnswer({"explanations": records})


@router.post("/vectors")
def vectors(service: Serving, wanted: ToEmbed) -> JSONAnswer:
    """The vectors of texts, of uploads, or of indexed pictures."""
    engine = service.engine
    dim = engine.encoder.space.dim
    try:
        if wanted.texts is not None:
            found = engine.embed_texts(wanted.texts)
        elif wanted.pictures is not None:
            found = engine.vectors_of([picture_of(engine, one) for one in wanted.pictures])
        else:
            kept = [service.uploads.vector(name, engine) for name in wanted.uploads or []]
            found = np.array(kept, np.float32).reshape(-1, dim)
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from error
    return JSONAnswer({"dim": dim, "vectors": found.tolist()})


def picture_of(engine: SearchEngine, picture: int | str) -> Hit:
    """An indexed picture by its id or its path; MmsearchError `not-indexed` where it is not."""
    if isinstance(picture, int):
        return hit_of(engine, picture)
    found = indexed_id(picture, engine.index.reader) if "\0" not in picture else None
    if found is None:
        raise MmsearchError(f"{picture} is not indexed.", code="not-indexed")
    return hit_of(engine, found)
