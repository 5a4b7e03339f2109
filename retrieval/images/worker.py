"""A process that reads pictures: the bytes of files come in on one pipe, pixels and facts go out.

A file that crashes a decoder, or makes it run for ever or take all memory, ends this process and
nothing else. It imports no more than Pillow, so that it starts fast.
`retrieval.images.decoder_pool` starts it.

A message is the lengths of two parts, a JSON object and bytes. The conversation, after a first
`{"ready": true}`:

    request  {"preprocessing": {...}, "memory_bytes": 67108864}, the file
    reply    {"width_px": 4000, "height_px": 3000, "metadata": {...}}, the pixels:
             size_px × size_px × 3
             {"metadata": {...}} where the request's preprocessing is null: facts are all it wants
             {"kind": "damaged", "reason": "it is damaged (...)"}
             {"needs_bytes": 400000000}: more than `memory_bytes`; goes on at the next request

A request that names a `reader`, a module with a function `serve`, is answered by that in parts,
each with a limit of time of its own: a part whose header says `more` is followed by the next one at
the next request.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

from retrieval.errors import ImageError
from retrieval.images.decode import opening, resize_file
from retrieval.images.formats import MAX_PIXELS, ImageFile
from retrieval.images.preprocess import Preprocessing

_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True)
class DecodingLimits:
    """What one file may take: seconds of processor time, and address space of the process.

    Where the system knows no such limits, Windows for one, they hold for nothing.
    """

    cpu_s: int = 30
    memory_bytes: int = 2 * 2**30


def send(stream: BinaryIO, header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message. Raises OSError where nobody reads any more."""
    head = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(head), len(payload)) + head)
    stream.write(payload)
    stream.flush()


def receive_header(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """The first part of a message, and the length of the second. Raises EOFError at the end."""
    head, payload = _LENGTHS.unpack(receive_exactly(stream, _LENGTHS.size))
    header: dict[str, Any] = json.loads(receive_exactly(stream, head))
    return header, payload


def receive_exactly(stream: BinaryIO, length: int) -> bytes:
    """That many bytes. Raises EOFError where the stream ends before."""
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def serve(requests: BinaryIO, replies: BinaryIO, limits: DecodingLimits) -> None:
    """Answer requests until there are no more."""
    with suppress(EOFError):
        while True:
            header, length = receive_header(requests)
            data = receive_exactly(requests, length)
            _allow_more_time(limits.cpu_s)
            if "reader" in header:
                _serve_in_parts(header, requests, replies, limits)
                continue
            if header["preprocessing"] is None:
                send(replies, {"metadata": _metadata(data)})
                continue
            preprocessing = Preprocessing(**header["preprocessing"])
            try:
                with opening(data, preprocessing.size_px) as file:
                    if file.memory_bytes > header["memory_bytes"]:
                        send(replies, {"needs_bytes": file.memory_bytes})
                        receive_header(requests)
                    answer, pixels = _decoded(file, preprocessing)
                answer["metadata"] = _metadata(data)
            except ImageError as failure:
                send(replies, {"kind": failure.kind, "reason": failure.reason})
            else:
                send(replies, answer, pixels)


def main(limits: DecodingLimits) -> None:
    """Serve on standard input and output, within the limits."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Libraries that print would garble the replies.
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    warnings.simplefilter("ignore")
    _restrain_decoders()
    _limit_memory(limits.memory_bytes)
    # Whoever started it may be gone by now, killed say.
    with suppress(BrokenPipeError):
        send(replies, {"ready": True})
        os.dup2(nothing, 2)
        serve(requests, replies, limits)
    # The pipe may be gone: ending here keeps Python from closing it again with a complaint.
    os._exit(0)


def _serve_in_parts(
    header: dict[str, Any], requests: BinaryIO, replies: BinaryIO, limits: DecodingLimits
) -> None:
    try:
        for answer, payload in import_module(header["reader"]).serve(header, limits.cpu_s):
            send(replies, answer, payload)
            if answer.get("more"):
                receive_header(requests)
                _allow_more_time(limits.cpu_s)
    except ImageError as failure:
        send(replies, {"kind": failure.kind, "reason": failure.reason})


def _decoded(file: ImageFile, preprocessing: Preprocessing) -> tuple[dict[str, Any], bytes]:
    resized = resize_file(file, preprocessing)
    size = {"width_px": resized.width_px, "height_px": resized.height_px}
    return size, resized.image.tobytes()


def _metadata(data: bytes) -> dict[str, Any]:
    # Here, since whoever waits for this process to start does not wait for that.
    from retrieval.images.metadata import read_metadata

    return read_metadata(data).to_json()


def _restrain_decoders() -> None:
    """One thread a process, since there are many processes; and this bound for all of Pillow."""
    from PIL import AvifImagePlugin, Image

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # Pillow refuses what is more than twice this.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2


def _limit_memory(memory_bytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _allow_more_time(cpu_s: int) -> None:
    """End this process when it has computed for so long from here."""
    if sys.platform == "win32":
        return
    import resource

    until = int(time.process_time()) + cpu_s + 1
    with suppress(OSError, ValueError):
        _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (until, hard))
