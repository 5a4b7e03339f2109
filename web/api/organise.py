"""What takes a while: copies among the pictures, and measuring on captions."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from retrieval.errors import MmsearchError
from web.api.service_of import Serving, require_local
from web.asking import hits_of
from web.records import with_addresses
from web.safety.answers import JSONAnswer

router = APIRouter(tags=["organise"])
_evaluating = threading.Lock()


class ToMeasure(BaseModel):
    """Captions and the folder of their pictures, on the server's machine."""

    model_config = ConfigDict(extra="forbid")

    captions: Annotated[str, Field(min_length=1, max_length=4096)]
    images: Annotated[str, Field(min_length=1, max_length=4096)]
    rerank: Annotated[str, Field(max_length=100)] = "auto"
    candidates: Annotated[int, Field(ge=1, le=500)] = 50


@router.get("/duplicates")
def duplicates(
    service: Serving,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> JSONAnswer:
    """Groups of copies, those that would free most first; nothing is ever deleted.

    Looked for in the background, so ask again until `state` is `done`. Of each group `reason` says
    why the first of its `hits` is the best; of the others `kind` says how they are copies of it.
    """
    engine = service.engine
    state, groups = service.copies.look(engine)
    record: dict[str, Any] = {
        **state,
        "total_groups": len(groups),
        "spare_bytes": sum(group.spare_bytes for group in groups),
        "groups": [],
    }
    for group in groups[offset : offset + limit]:
        copies = {copy.item_id: copy for copy in (group.best, *group.others)}
        # Those that have left the index since are passed over.
        hits = with_addresses(engine, hits_of(engine, list(copies)))
        for hit in hits:
            hit["kind"] = copies[hit["id"]].kind
            hit["size_bytes"] = copies[hit["id"]].size_bytes
        if len(hits) > 1:
            record["groups"].append({"reason": group.reason, "hits": hits})
    return JSONAnswer(record)


@router.post("/eval")
def evaluate(service: Serving, request: Request, wanted: ToMeasure) -> JSONAnswer:
    """Measure how well captions find their pictures, with the index's model; one at a time."""
    from retrieval.evaluation.captions import read_captions
    from retrieval.evaluation.protocol import evaluate as measure
    from retrieval.evaluation.rerank import choose_second_stage

    require_local(request)
    captions, images = Path(wanted.captions), Path(wanted.images)
    if not (captions.is_absolute() and images.is_absolute() and images.is_dir()):
        raise MmsearchError("Captions and the folder of their pictures are given by whole paths.")
    if not _evaluating.acquire(blocking=False):
        raise MmsearchError("Another measurement is going on.", code="busy")
    try:
        encoder = service.engine.encoder
        found = measure(
            encoder,
            read_captions(captions),
            images,
            second_stage=choose_second_stage(wanted.rerank, encoder, images),
            candidates=wanted.candidates,
        )
    finally:
        _evaluating.release()
    record = asdict(found)
    record["timing"]["total_ms"] = found.timing.total_ms
    return JSONAnswer(record)
