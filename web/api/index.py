"""The index: its state, its failures, and indexing with live progress."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from retrieval.catalog import Catalog
from retrieval.errors import IndexMissingError, MmsearchError
from retrieval.paths import absolute, expanded
from web.api.service_of import Serving, require_local
from web.safety.answers import JSONAnswer
from web.service import Service
from web.state import status_record

router = APIRouter(tags=["index"])
_LOOK_EVERY_S = 0.25
_HEARTBEAT_S = 15.0


class ToIndex(BaseModel):
    """What to index; no paths stands for every folder that is indexed."""

    model_config = ConfigDict(extra="forbid")

    paths: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field([], max_length=100)
    exclude: list[Annotated[str, Field(max_length=1000)]] = Field([], max_length=100)


@router.get("/status")
def status(service: Serving) -> JSONAnswer:
    """What is indexed, with which model, and what the server can do."""
    return JSONAnswer(status_record(service))


@router.get("/failures")
def failures(
    service: Serving,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> JSONAnswer:
    """The files that could not be read, and why."""
    found = service.engine.catalog.failures()
    return JSONAnswer(
        {
            "total": len(found),
            "failures": [
                {"path": str(one.path), "kind": one.kind, "reason": one.reason}
                for one in found[offset : offset + limit]
            ],
        }
    )


@router.get("/indexing")
def indexing(service: Serving) -> JSONAnswer:
    """The run that goes on, else the last one."""
    job = service.indexing.job
    return JSONAnswer({"state": "none"} if job is None else job.record())


@router.post("/indexing", status_code=202)
def start_indexing(service: Serving, wanted: ToIndex) -> JSONAnswer:
    """Begin to index folders of the server's machine.

    Where others can reach the server, those that it allows; those that are indexed are looked at
    again, by naming none.
    """
    paths = [checked_path(path) for path in wanted.paths]
    for path in paths:
        if not service.settings.may_index(path):
            raise MmsearchError(f"This server does not index {path}.", code="forbidden")
    if not paths:
        try:
            with Catalog.open(service.location.address) as catalog:
                paths = [root.path for root in catalog.roots()]
        except IndexMissingError:
            paths = []
    if not paths:
        raise MmsearchError("Nothing is indexed yet: name a folder of pictures.")
    return JSONAnswer(service.indexing.start(paths, wanted.exclude).record(), status_code=202)


@router.delete("/indexing", status_code=202)
def stop_indexing(service: Serving) -> JSONAnswer:
    """End the run between two batches; what is done is kept."""
    job = service.indexing.stop()
    return JSONAnswer({"state": "none"} if job is None else job.record(), status_code=202)


@router.get("/folders")
def folders(
    service: Serving, request: Request, path: Annotated[str, Query(max_length=4096)] = ""
) -> JSONAnswer:
    """The folders in a folder of this machine, for choosing one."""
    require_local(request)
    folder = checked_path(path) if path else _home()
    try:
        found = sorted(
            entry.name
            for entry in folder.iterdir()
            if not entry.name.startswith(".") and entry.is_dir()
        )
    except OSError as error:
        raise MmsearchError(f"{folder} cannot be read ({error.strerror}).") from error
    parent = None if folder.parent == folder else str(folder.parent)
    return JSONAnswer({"path": str(folder), "parent": parent, "folders": found})


def _home() -> Path:
    """The folder to begin at; a service's user may have none of its own."""
    home = absolute("~")
    return home if home.is_dir() else Path(home.anchor)


@router.get("/events", response_class=StreamingResponse)
async def events(service: Serving) -> StreamingResponse:
    """Server-sent events: `indexing` while a run goes on, `index` when the index has changed."""
    return StreamingResponse(_events(service), media_type="text/event-stream")


def checked_path(text: str) -> Path:
    """A whole path. Raises MmsearchError for one that is none."""
    path = expanded(text)
    if "\0" in text or not path.is_absolute():
        raise MmsearchError("A folder is given by its whole path.")
    return path


async def _events(service: Service) -> AsyncIterator[bytes]:
    told: dict[str, Any] | None = None
    generation: int | None = None
    silent_s = 0.0
    yield b"retry: 2000\n\n"
    while not service.closing.is_set():
        job = service.indexing.job
        now = None if job is None else job.record()
        if now is not None and (told is None or not _same(now, told)):
            told = now
            silent_s = 0.0
            yield _event("indexing", now)
        seen = await run_in_threadpool(_generation, service)
        if seen is not None and seen[0] != generation:
            generation = seen[0]
            silent_s = 0.0
            yield _event("index", {"pictures": seen[1]})
        if silent_s >= _HEARTBEAT_S:
            silent_s = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY_S)
        silent_s += _LOOK_EVERY_S


def _same(now: dict[str, Any], told: dict[str, Any]) -> bool:
    return all(now[key] == told[key] for key in ("state", "done", "total", "started_at"))


def _generation(service: Service) -> tuple[int, int] | None:
    try:
        engine = service.engine
        return engine.index.reader.generation, engine.catalog.count_items()
    except MmsearchError:
        return None


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode("ascii")
