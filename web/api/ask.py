"""Questions about pictures: `/api/ask`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from retrieval.answering.base import Answer
from retrieval.answering.records import answer_record
from retrieval.errors import MmsearchError
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hit
from retrieval.search.unchanged import is_as_indexed
from web.api.programs import picture_of
from web.api.service_of import Serving
from web.asking import Picture
from web.records import with_addresses
from web.safety.answers import JSONAnswer
from web.safety.errors import RefusedError
from web.service import Service

router = APIRouter(tags=["search"])


class AskedOfPictures(BaseModel):
    """A question about pictures: indexed ones, an upload, or those that a search finds."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=2000)
    pictures: list[Picture] = Field([], max_length=100, description="By id or path.")
    upload: str | None = Field(None, max_length=100)
    q: str | None = Field(
        None, max_length=2000, description="Ask what is found for these words, with conditions "
        "among them; without them and without pictures the question says itself: which of my "
        "photos has a dog?",
    )  # fmt: skip
    k: int = Field(10, ge=1, le=100, description="Of those found: how many.")


@router.post("/ask")
def ask(service: Serving, asked: AskedOfPictures) -> JSONAnswer:
    """Answer a question about each picture; null where a picture cannot be read."""
    if sum((bool(asked.pictures), asked.upload is not None, asked.q is not None)) > 1:
        raise RefusedError("A question is about pictures, an upload or what is found: choose one.")
    try:
        return JSONAnswer(_answers(service.engine, service, asked))
    except (TypeError, ValueError) as error:
        raise RefusedError(str(error)) from error


def _answers(engine: SearchEngine, service: Service, asked: AskedOfPictures) -> dict[str, Any]:
    """The answers as JSON takes them, with the pictures that were found."""
    if asked.upload is not None:
        found = [engine.ask(asked.question, service.uploads.get(asked.upload).image)]
        return {"answers": [answer_record(one) for one in found]}
    if asked.pictures:
        pictures = [_as_it_is(engine, one) for one in asked.pictures]
        return {"answers": _records(engine.ask_many(asked.question, pictures))}
    answered = engine.ask_results(asked.question, asked.q, asked.k)
    return {
        "hits": with_addresses(engine, [one.hit for one in answered]),
        "answers": _records([one.answer for one in answered]),
    }


def _as_it_is(engine: SearchEngine, picture: int | str) -> Hit:
    """As `picture_of`; MmsearchError `changed` for a path whose file is not as it was indexed.

    A path stands for its file, and what lies there now is for nobody to ask about from elsewhere.
    """
    hit = picture_of(engine, picture)
    if isinstance(picture, str) and not is_as_indexed(hit.item_id, engine.index.reader):
        raise MmsearchError(
            f"{picture} is gone or has changed since it was indexed.", code="changed"
        )
    return hit


def _records(found: list[Answer | None]) -> list[dict[str, Any] | None]:
    return [None if one is None else answer_record(one) for one in found]
