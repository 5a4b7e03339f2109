"""An indexed file as an answer over HTTP, whole or in part (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from web.media_types import media_type_of

if TYPE_CHECKING:
    from web.service import Service

_BLOCK_BYTES = 2**18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def file_answer(
    service: Service,
    item_id: int,
    headers: Headers,
    *,
    download: bool = False,
    without_body: bool = False,
) -> Response:
    """The file of an item, or its headers alone. Raises MmsearchError as `Pictures.open`."""
    with ExitStack() as stack:
        original, file = stack.enter_context(service.pictures.open(service.engine, item_id))
        media_type = media_type_of(file.read(256), original.path)
        tag = f'"{original.content_hash.hex()}"'
        answer_headers = {
            "etag": tag,
            "accept-ranges": "bytes",
            "cache-control": "private, no-cache",
            # Even where somebody makes a browser take a picture for a page.
            "content-security-policy": "default-src 'none'; sandbox",
        }
        if download or media_type is None:
            name = quote(original.path.name, safe="", errors="surrogateescape")
            answer_headers["content-disposition"] = f"attachment; filename*=UTF-8''{name}"
        if tag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=answer_headers)
        size = original.size_bytes
        start, end, status = 0, size, 200
        asked = headers.get("range")
        if asked is not None and headers.get("if-range", tag) == tag:
            part = part_of(asked, size)
            if part is not None:
                start, end = part
                status = 206
                if start >= end:
                    answer_headers["content-range"] = f"bytes */{size}"
                    return Response(status_code=416, headers=answer_headers)
                answer_headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        answer_headers["content-length"] = str(end - start)
        if without_body:
            return Response(
                status_code=status,
                media_type=media_type or "application/octet-stream",
                headers=answer_headers,
            )
        file.seek(start)
        return StreamingResponse(
            _blocks(file, end - start, stack.pop_all()),
            status_code=status,
            media_type=media_type or "application/octet-stream",
            headers=answer_headers,
        )


def part_of(asked: str, size: int) -> tuple[int, int] | None:
    """The first byte that a Range header asks for and the one after the last.

    None for what is no single range, which is answered in full; an empty one cannot be answered.
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None or asked.strip() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _blocks(file: BinaryIO, length: int, stack: ExitStack) -> Iterator[bytes]:
    with stack:
        while length > 0 and (block := file.read(min(_BLOCK_BYTES, length))):
            length -= len(block)
            yield block
