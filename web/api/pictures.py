"""Pictures by their ids: facts, thumbnails, files, what is like them, and where words looked."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response

from retrieval.catalog.facets import tags_of
from retrieval.catalog.originals import neighbours_of
from retrieval.errors import MmsearchError
from retrieval.search.heatmaps import heat_png, heat_records, place, word_heats
from web.api.service_of import Serving, require_local
from web.asking import explained, hit_of
from web.file_answer import file_answer
from web.head import WITHOUT_BODY
from web.records import with_addresses
from web.safety.answers import JSONAnswer
from web.thumbnails import SIZES_PX

router = APIRouter(prefix="/pictures", tags=["pictures"])
_FOR_EVER = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"
_OF_ANSWERS = (
    "rank", "score", "similarity", "relevance", "fits", "word_score", "reranker", "question",
)  # fmt: skip
Words = Annotated[str, Query(min_length=1, max_length=2000)]


@router.get("/{item_id}")
def picture(service: Serving, item_id: int) -> JSONAnswer:
    """What is known of a picture."""
    engine = service.engine
    record = with_addresses(engine, [hit_of(engine, item_id)])[0]
    for name in _OF_ANSWERS:
        del record[name]
    record["folder"] = record["path"].replace("\\", "/").rpartition("/")[0]
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
    return file_answer(
        service,
        item_id,
        request.headers,
        download=download,
        without_body=WITHOUT_BODY in request.scope,
    )


@router.get("/{item_id}/similar")
def similar(
    service: Serving,
    item_id: int,
    k: Annotated[int, Query(ge=1, le=500)] = 20,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> JSONAnswer:
    """Pictures like this one, by its kept vector; without itself."""
    engine = service.engine
    found = engine.similar(hit_of(engine, item_id), k, offset=offset)
    return JSONAnswer({"hits": with_addresses(engine, found)})


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
    records = {record["word"]: record for record in heat_records(explanation) or []}
    words: list[dict[str, Any]] = [
        records[one.word] | {"place": place(one.heat)} for one in word_heats(explanation)
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
