"""Encoding, out of the writer: batches of decoded files in, the same batches with vectors out.

While one batch is written to the catalogue, the next one is encoded. Another backend may encode on
other machines: what crosses the seam are pixels and vectors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from indexer.pipeline.read import LoadedFile
from retrieval.encoders.base import ImageEncoder, ImageEncoding, Pixels

_IN_HAND = 2


@dataclass(frozen=True)
class EncodedBatch:
    """Loaded files, and what the encoder made of those that were decoded.

    `encoding` has a row for each item of each content that was encoded, None where there is none;
    `first_row` is where those of a content begin, by its hash. Contents of an earlier batch of the
    same run have no row here.
    """

    files: Sequence[LoadedFile]
    encoding: ImageEncoding | None = None
    first_row: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many items went through the encoder."""
        return 0 if self.encoding is None else len(self.encoding.vectors)


class EncodingBackend(Protocol):
    """Encodes batches, in their order, each content of a run once."""

    def encode(self, batches: Iterable[Sequence[LoadedFile]]) -> Iterator[EncodedBatch]:
        """The batches with their vectors; takes some of them ahead of its caller."""
        ...


class LocalEncoding:
    """Encodes in this process, in a thread beside the one that writes."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder

    def encode(self, batches: Iterable[Sequence[LoadedFile]]) -> Iterator[EncodedBatch]:
        """See `EncodingBackend`; whatever the encoder raises comes out with its batch."""
        seen: set[bytes] = set()
        waiting: deque[Future[EncodedBatch]] = deque()
        pool = ThreadPoolExecutor(1, thread_name_prefix="encode")
        try:
            for batch in batches:
                fresh = [loaded for loaded in batch if loaded.content_hash not in seen]
                seen.update(loaded.content_hash for loaded in fresh if loaded.items)
                waiting.append(pool.submit(encode_batch, self._encoder, batch, fresh))
                if len(waiting) >= _IN_HAND:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def encode_batch(
    encoder: ImageEncoder, batch: Sequence[LoadedFile], fresh: Sequence[LoadedFile]
) -> EncodedBatch:
    """A batch with the vectors of its `fresh` files; of the same content one is encoded."""
    first_row: dict[bytes, int] = {}
    pixels: list[Pixels] = []
    for loaded in fresh:
        if loaded.items and loaded.content_hash not in first_row:
            first_row[loaded.content_hash] = len(pixels)
            pixels += [item.pixels for item in loaded.items]
    encoding = encoder.encode_images(np.stack(pixels)) if pixels else None
    return EncodedBatch(batch, encoding, first_row)
