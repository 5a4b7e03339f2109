"""Pictures by their ids: facts, thumbnails, files, what is like them, and where words looked."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response

from retrieval.catalog.facets import tags_of
from retrieval.catalog.originals import neighbours_of
from retrieval.errors import MmsearchError
from retrieval.query.negation import read_negation
from retrieval.query.parse import parse
from retrieval.query.query import Query as Question
from retrieval.search.answer import as_hit
from retrieval.search.engine import SearchEngine
from retrieval.search.explain import Explanation
from retrieval.search.heatmaps import heat_png, heat_records, place, word_heats
from retrieval.search.hit import Hit
from web.api.service_of import Serving, require_local
from web.asking import vector_of
from web.file_answer import file_answer
from web.records import with_addresses
from web.safety.answers import JSONAnswer
from web.safety.errors import RefusedError
from web.thumbnails import SIZES_PX

router = APIRouter(prefix="/pictures", tags=["pictures"])
_FOR_EVER = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"
Words = Annotated[str, Query(min_length=1, max_length=2000)]


@router.get("/{item_id}")
def picture(service: Serving, item_id: int) -> JSONAnswer:
    """What is known of a picture."""
    engine = service.engine
    record = with_addresses(engine, [hit_of(engine, item_id)])[0]
    for name in ("rank", "score", "similarity", "relevance", "fits", "word_score", "reranker"):
        del record[name]
    record["folder"] = record["path"][: -len(record["name"]) - 1]
    record["tags"] = tags_of(engine.catalog.raw_rows, item_id)
    return JSONAnswer(record)


@router.get("/{item_id}/thumbnail", response_class=Response)
def thumbnail(
    service: Serving,
    item_id: int,
    size: Annotated[int, Query(ge=1, le=max(SIZES_PX))] = 360,
    v: Annotated[str, Query(max_length=32)] = "",
    accept: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """A small upright picture without EXIF, as WebP or AVIF, of the next larger size there is."""
    size_px = min(one for one in SIZES_PX if one >= size)
    data, form, tag = service.thumbnails.get(
        service.engine, service.pictures, item_id, size_px, avif="image/avif" in accept
    )
    headers = {"etag": tag, "vary": "accept", "cache-control": _FOR_EVER if v else _ASK_AGAIN}
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=f"image/{form}", headers=headers)


@router.get("/{item_id}/file", response_class=Response)
def file(service: Serving, request: Request, item_id: int, download: bool = False) -> Response:
    """The picture's own file, or the part of it that a Range header asks for."""
    return file_answer(service, item_id, request.headers, download=download)


@router.get("/{item_id}/similar")
def similar(
    service: Serving,
    item_id: int,
    k: Annotated[int, Query(ge=1, le=500)] = 20,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> JSONAnswer:
    """Pictures like this one, by its kept vector; without itself."""
    engine = service.engine
    question = Question.of(vector_of(engine, item_id))
    found = service.questions.search(engine, question, k=offset + k + 1, rerank="off")
    others = [hit for hit in found if hit.item_id != item_id][offset : offset + k]
    return JSONAnswer({"hits": with_addresses(engine, others)})


@router.get("/{item_id}/neighbours")
def neighbours(
    service: Serving, item_id: int, n: Annotated[int, Query(ge=1, le=100)] = 10
) -> JSONAnswer:
    """The pictures of its folder taken just before and after it."""
    engine = service.engine
    sides = neighbours_of(engine.catalog.raw_rows, hit_of(engine, item_id).item_id, n)
    before, after = ([hit_of(engine, one) for one in side] for side in sides)
    return JSONAnswer(
        {"before": with_addresses(engine, before), "after": with_addresses(engine, after)}
    )


@router.get("/{item_id}/heat")
def heat(service: Serving, item_id: int, q: Words) -> JSONAnswer:
    """Where in the picture each word of a question looked; no words where that is not known."""
    explanation = explained(service.engine, item_id, q)
    grids = {record["word"]: record["grid"] for record in heat_records(explanation) or []}
    words: list[dict[str, Any]] = [
        {"word": one.word, "place": place(one.heat), "grid": grids[one.word]}
        for one in word_heats(explanation)
    ]
    return JSONAnswer({"words": words})


@router.get("/{item_id}/heat.png", response_class=Response)
def heat_picture(
    service: Serving, item_id: int, q: Words, word: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """The same for one word, or for all together, as a PNG to be laid over the picture."""
    heats = word_heats(explained(service.engine, item_id, q))
    chosen = [one.heat for one in heats if not word or one.word == word]
    if not chosen:
        raise MmsearchError("Where that looked is not known.", code="not-found")
    return Response(heat_png(np.mean(chosen, axis=0)), media_type="image/png")


@router.post("/{item_id}/reveal", status_code=204)
def reveal(service: Serving, request: Request, item_id: int) -> Response:
    """Show the picture in this machine's file manager."""
    from web.reveal import reveal as show

    require_local(request)
    show(hit_of(service.engine, item_id).path)
    return Response(status_code=204)


def hit_of(engine: SearchEngine, item_id: int, question: str | None = None) -> Hit:
    """An item as an answer without a score; MmsearchError `not-found` for an unknown id."""
    items = engine.catalog.items([item_id]) if 0 < item_id < 2**63 else {}
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
