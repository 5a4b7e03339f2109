"""Asking: `/api/search`, and uploads to ask with."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from web.api.service_of import Serving
from web.asking import Asked, answer
from web.safety.answers import JSONAnswer
from web.small_pictures import encoded

router = APIRouter(tags=["search"])


@router.get("/search")
def search(service: Serving, asked: Annotated[Asked, Query()]) -> JSONAnswer:
    """Find pictures by words, pictures or conditions; without words, the newest that fit."""
    return JSONAnswer(answer(service, asked))


@router.post("/search")
def search_posted(service: Serving, asked: Asked) -> JSONAnswer:
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
    name, image = await run_in_threadpool(service.uploads.add, data)
    record: dict[str, Any] = {"upload": name, "width_px": image.width, "height_px": image.height}
    return JSONAnswer(record, status_code=201)


@router.get("/uploads/{name}/thumbnail")
def upload_thumbnail(service: Serving, name: str) -> Response:
    """A small picture of an upload, as WebP."""
    image = service.uploads.get(name).copy()
    image.thumbnail((360, 360))
    return Response(encoded(image, "webp"), media_type="image/webp")
