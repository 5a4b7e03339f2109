"""What a worker does with a shard: fetch, decode in a guarded process, encode."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexer.distributed.encoding import EncodingWorker
from indexer.distributed.shards import Shard, ShardPicture, pictures_of
from indexer.pipeline.exclude import Exclusions
from retrieval.catalog.records import CONTENT_HASH_BYTES, FileFacts, ItemFacts
from retrieval.encoders.base import Encoder, ImageEncoding
from retrieval.errors import ImageError
from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool

_BATCH = 32
# So many pictures go back to the writer at once, with their vectors and tokens.
_PART = 256


@dataclass
class EncodedPart:
    """Some pictures of a shard as they are to be written; `is_last` ends the shard.

    `encoding` has a row for each of `added`. `failures`: names with kinds and reasons. `failure`
    is the shard's own, where it could not be read to its end.
    """

    shard: Shard
    added: list[tuple[FileFacts, list[ItemFacts]]] = field(default_factory=list)
    encodings: list[ImageEncoding] = field(default_factory=list)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    is_last: bool = False
    failure: ImageError | None = None

    @property
    def encoding(self) -> ImageEncoding | None:
        """All of it as one."""
        if not self.encodings:
            return None
        tokens = [one.patch_tokens for one in self.encodings if one.patch_tokens is not None]
        return ImageEncoding(
            np.concatenate([one.vectors for one in self.encodings]),
            np.concatenate(tokens) if len(tokens) == len(self.encodings) else None,
        )


class ShardWorker:
    """Called by Ray Data with a batch of one shard; gives its parts, pickled, one a row."""

    def __init__(
        self,
        model: str,
        precision: str,
        encoder: Encoder | None,
        fingerprint: str,
        exclude: tuple[str, ...] = (),
    ) -> None:
        self._encoder = EncodingWorker(model, precision, encoder, fingerprint)
        self._decoders = DecoderPool(2)
        self._exclusions = Exclusions(exclude)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The parts of the shard, pickled, as rows `part`."""
        for packed in batch["shard"]:
            for part in self.parts(pickle.loads(packed)):
                yield {"part": [pickle.dumps(part)]}

    def parts(self, shard: Shard) -> Iterator[EncodedPart]:
        """The pictures of a shard, encoded."""
        part = EncodedPart(shard)
        waiting: list[tuple[ShardPicture, DecodedImage]] = []
        try:
            for picture in pictures_of(shard, self._exclusions):
                self._take(part, picture, waiting)
                if len(waiting) == _BATCH:
                    self._encode(part, waiting)
                    waiting = []
                if len(part.added) + len(part.failures) >= _PART:
                    yield part
                    part = EncodedPart(shard)
        except ImageError as failure:
            part.failure = failure
        self._encode(part, waiting)
        part.is_last = True
        yield part

    def _take(
        self,
        part: EncodedPart,
        picture: ShardPicture,
        waiting: list[tuple[ShardPicture, DecodedImage]],
    ) -> None:
        try:
            if picture.failure is not None:
                raise picture.failure
            waiting.append((picture, self._decoders.decode(picture.data, self._preprocessing)))
        except ImageError as failure:
            part.failures.append((picture.name, failure.kind, failure.reason))

    @property
    def _preprocessing(self) -> Any:
        return self._encoder.preprocessing

    def _encode(self, part: EncodedPart, waiting: list[tuple[ShardPicture, DecodedImage]]) -> None:
        if not waiting:
            return
        part.encodings.append(
            self._encoder.encode(np.stack([image.pixels for _, image in waiting]))
        )
        for picture, image in waiting:
            content = hashlib.blake2b(picture.data, digest_size=CONTENT_HASH_BYTES).digest()
            facts = image.metadata.completed_by(picture.metadata)
            part.added.append(
                (
                    FileFacts(picture.name, len(picture.data), 0, content),
                    [ItemFacts(image.width_px, image.height_px, facts)],
                )
            )
