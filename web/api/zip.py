"""Many pictures as one archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import StreamingResponse

from retrieval.errors import MmsearchError
from web.api.service_of import Serving
from web.safety.errors import RefusedError
from web.service import Service

router = APIRouter(tags=["pictures"])
_BLOCK_BYTES = 2**20


class ToPack(BaseModel):
    """The ids of the pictures."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[int, Field(ge=1, lt=2**63)]] = Field(min_length=1, max_length=2000)


@router.post(
    "/zip",
    response_class=StreamingResponse,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ToPack.model_json_schema()}},
        }
    },
)
async def pack(service: Serving, request: Request) -> StreamingResponse:
    """The files of pictures as a zip archive; those that are gone are left out.

    `ids` is a list in JSON, or in a form numbers with commas between them.
    """
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            wanted = ToPack.model_validate_json(await request.body())
        else:
            form = await request.form()
            wanted = ToPack.model_validate({"ids": str(form.get("ids", "")).split(",")})
    except ValidationError as error:
        raise RefusedError("ids: a list of up to 2000 ids of pictures.") from error
    return StreamingResponse(
        _packed(service, list(dict.fromkeys(wanted.ids))),
        media_type="application/zip",
        headers={"content-disposition": 'attachment; filename="pictures.zip"'},
    )


class _Outlet(io.RawIOBase):
    """Takes what is written, until it is fetched."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._blocks.append(bytes(data))
        return len(data)

    def fetch(self) -> bytes:
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


def _packed(service: Service, ids: list[int]) -> Iterator[bytes]:
    outlet = _Outlet()
    names: set[str] = set()
    # A video is many moments of one file.
    packed: set[Path] = set()
    # Pictures are compressed as they are.
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for item_id in ids:
            try:
                with service.pictures.open(service.engine, item_id) as (original, file):
                    if original.path in packed:
                        continue
                    packed.add(original.path)
                    name = _unused(original.path.name, names)
                    with archive.open(name, "w", force_zip64=True) as entry:
                        while block := file.read(_BLOCK_BYTES):
                            entry.write(block)
                            yield outlet.fetch()
            except MmsearchError:
                continue
    yield outlet.fetch()


def _unused(name: str, names: set[str]) -> str:
    """The name, with a number where another file of the archive has it."""
    shown = name.encode("utf-8", "replace").decode()
    stem, dot, suffix = shown.rpartition(".")
    number, unused = 1, shown
    while unused.lower() in names:
        number += 1
        unused = f"{stem} ({number}){dot}{suffix}" if dot else f"{shown} ({number})"
    names.add(unused.lower())
    return unused
