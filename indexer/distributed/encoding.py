"""An encoding backend on Ray: decoded batches go to actors, vectors and tokens come back.

Batches come back in their order, so that the writer sees what it would see of one process. An actor
that is lost is started again and its batch encoded again: what was not returned was not written.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from indexer.distributed.cluster import ClusterSettings, count_workers, worker_error
from indexer.pipeline.encode import EncodedBatch
from indexer.pipeline.read import LoadedFile
from retrieval.encoders.base import Encoder, ImageEncoding, Pixels
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import EncoderMismatchError
from retrieval.images.preprocess import Preprocessing

# So many batches a worker are under way, so that none waits for the next.
_AHEAD = 2


class EncodingWorker:
    """What runs in a worker: the encoder of the index, loaded once."""

    def __init__(
        self, model: str, precision: str, encoder: Encoder | None, fingerprint: str
    ) -> None:
        self._encoder = encoder or load_encoder(model, precision)
        own = self._encoder.space
        # Told with the first batch: what a worker raises as it begins does not reach the caller.
        self._other = None if fingerprint in (own.fingerprint, *own.former) else model

    def pid(self) -> int:
        """The worker's process, on its machine; answers once the worker is loaded."""
        return os.getpid()

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes pixels."""
        return self._encoder.preprocessing

    def encode(self, pixels: Pixels) -> ImageEncoding:
        """Pixels, uint8 (n, size_px, size_px, 3), as the encoder takes them.

        Raises EncoderMismatchError where the worker's model is another than the index's.
        """
        if self._other is not None:
            raise EncoderMismatchError(
                f"The model {self._other} is another on a worker than it is here.",
                code="worker-mismatch",
            )
        return self._encoder.encode_images(pixels)


class RayEncoding:
    """An `EncodingBackend` with a pool of actors; `ray` is the module, connected.

    `space` is that of the index. `encoder` is an object of one's own, which has to be one that can
    be sent.
    """

    def __init__(
        self,
        ray: Any,
        settings: ClusterSettings,
        space: EmbeddingSpace,
        encoder: Encoder | None = None,
    ) -> None:
        self._ray = ray
        actor = ray.remote(EncodingWorker).options(**settings.options)
        self._workers = [
            actor.remote(space.name, settings.precision, encoder, space.fingerprint)
            for _ in range(count_workers(ray, settings))
        ]

    @property
    def workers(self) -> list[Any]:
        """The actors."""
        return list(self._workers)

    def encode(self, batches: Iterable[Sequence[LoadedFile]]) -> Iterator[EncodedBatch]:
        """See `EncodingBackend`. Raises MmsearchError where no worker can encode a batch."""
        seen: set[bytes] = set()
        waiting: deque[tuple[EncodedBatch, Any]] = deque()
        for number, batch in enumerate(batches):
            first_row: dict[bytes, int] = {}
            pixels: list[Pixels] = []
            for loaded in batch:
                if loaded.items and loaded.content_hash not in seen:
                    seen.add(loaded.content_hash)
                    first_row[loaded.content_hash] = len(pixels)
                    pixels += [item.pixels for item in loaded.items]
            sent = None
            if pixels:
                worker = self._workers[number % len(self._workers)]
                sent = worker.encode.remote(np.stack(pixels))
            waiting.append((EncodedBatch(batch, None, first_row), sent))
            if len(waiting) >= _AHEAD * len(self._workers):
                yield self._received(*waiting.popleft())
        while waiting:
            yield self._received(*waiting.popleft())

    def close(self) -> None:
        """End the actors."""
        for worker in self._workers:
            self._ray.kill(worker)

    def _received(self, batch: EncodedBatch, sent: Any) -> EncodedBatch:
        if sent is None:
            return batch
        try:
            encoding: ImageEncoding = self._ray.get(sent)
        except self._ray.exceptions.RayError as error:
            raise worker_error(error) from error
        return replace(batch, encoding=encoding)
