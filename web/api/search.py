"""Asking: `/api/search`, and uploads to ask with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from web.api.service_of import Serving
from web.asking import Asked, AskedAtLength, answer
from web.safety.answers import JSONAnswer
from web.small_pictures import encoded

router = APIRouter(tags=["search"])


@router.get("/search")
def search(service: Serving, asked: Annotated[Asked, Query()]) -> JSONAnswer:
    """Find pictures by words, pictures or conditions; without words, the newest that fit."""
    return JSONAnswer(answer(service, asked))


@router.post("/search")
def search_posted(service: Serving, asked: AskedAtLength) -> JSONAnswer:
    """The same, for questions too long for an address."""
    return JSONAnswer(answer(service, asked))


@router.post(
    "/uploads",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(service: Serving, request: Request) -> JSONAnswer:
    """Keep a picture for a while, to ask with; the body is its file."""
    data = await request.body()
    kept = await run_in_threadpool(lambda: service.uploads.add(data, service.engine.encoder))
    record = {"upload": kept.name, "width_px": kept.width_px, "height_px": kept.height_px}
    return JSONAnswer(record, status_code=201)


@router.get("/uploads/{name}/thumbnail")
def upload_thumbnail(service: Serving, name: str) -> Response:
    """A small picture of an upload, as WebP."""
    return Response(encoded(service.uploads.get(name).image, "webp"), media_type="image/webp")
