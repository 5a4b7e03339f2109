"""Encoding indexed pictures again, where their vectors or patch tokens were lost.

Only from files whose content is still what the catalogue knows: a file that has changed since is
the next indexing run's business.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from indexer.pipeline.read import LoadedFile, Loader
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.targets import is_populated
from indexer.pipeline.videos import hashed
from indexer.pipeline.write import batches
from indexer.report import Progress
from retrieval.catalog import Catalog, Root, StoredFile
from retrieval.catalog.moments import moments_of_file
from retrieval.catalog.records import is_of_content
from retrieval.encoders.base import Encoder, ImageEncoding
from retrieval.errors import ImageError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.media.base import VIDEO, kind_of
from retrieval.media.video import VideoReader
from retrieval.storage.patch_tokens import PatchTokens

_BATCH_SIZE = 32


@dataclass
class Reencoded:
    """How many pictures got a new vector, how many new patch tokens, and which got nothing.

    `left` are ids whose file is not there, cannot be read, or has another content now.
    """

    vectors: int = 0
    tokens: int = 0
    left: set[int] = field(default_factory=set)


def reencode(
    catalog: Catalog,
    tokens: PatchTokens,
    encoder: Encoder,
    *,
    for_vectors: Collection[int],
    for_tokens: Collection[int],
    progress: Progress,
    space_id: int | None = None,
) -> Reencoded:
    """Make vectors and patch tokens of these pictures from their files, batch by batch.

    The vectors are of the space that answers questions unless another is named. For the one process
    that writes. What is done stays done when it is cut off.
    """
    done = Reencoded()
    wanted = set(for_vectors) | set(for_tokens)
    decoders = DecoderPool()
    progress.start(len(wanted))
    try:
        for root in catalog.roots():
            stored = [
                file
                for file in catalog.stored_files(root.id)
                if not wanted.isdisjoint(file.item_ids)
            ]
            if not is_populated(root):
                done.left.update(_ids(stored))
                progress.advance(len(stored))
                continue
            videos = [file for file in stored if kind_of(file.path) == VIDEO]
            for file in videos:
                again = _VideoAgain(catalog, root, file, encoder, decoders)
                done.left.update(file.item_ids)
                for ids, encoding in again.encodings(wanted):
                    done.left.difference_update(ids)
                    _keep(catalog, tokens, ids, encoding, for_vectors, for_tokens, done, space_id)
                progress.advance(1)
            stored = [file for file in stored if kind_of(file.path) != VIDEO]
            for batch in batches(_load(root, stored, encoder, decoders), _BATCH_SIZE):
                fitting = [(file, loaded) for file, loaded in batch if _is_same(file, loaded)]
                done.left.update(_ids(file for file, _ in batch))
                done.left.difference_update(_ids(file for file, _ in fitting))
                if fitting:
                    _write(
                        catalog, tokens, encoder, fitting, for_vectors, for_tokens, done, space_id
                    )
                progress.advance(len(batch))
    finally:
        decoders.close()
        progress.finish()
    return done


class _VideoAgain:
    """The moments of one video, encoded again from the frames at their times."""

    def __init__(
        self,
        catalog: Catalog,
        root: Root,
        file: StoredFile,
        encoder: Encoder,
        decoders: DecoderPool,
    ) -> None:
        self._moments = moments_of_file(catalog.raw_rows, file.file_id)
        self._file = file
        self._path = root.path / file.path
        self._encoder = encoder
        self._reader = VideoReader(decoders)

    def encodings(self, wanted: Collection[int]) -> Iterator[tuple[list[int], ImageEncoding]]:
        """Ids of moments with their encodings; nothing more once the file cannot be read."""
        due = [moment for moment in self._moments if moment.item_id in wanted]
        try:
            content, identity = hashed(self._path, threading.Event())
            if not is_of_content(self._file.content_hash, content):
                return
            frames = self._reader.frames_at(
                self._path,
                [moment.time_ms or 0 for moment in due],
                self._encoder.preprocessing,
                identity=identity,
            )
            pairs = zip(due, frames, strict=True)
            for batch in batches(pairs, _BATCH_SIZE):
                pixels = np.stack([frame.pixels for _, frame in batch])
                yield [one.item_id for one, _ in batch], self._encoder.encode_images(pixels)
        except ImageError:
            return


def _load(
    root: Root, stored: list[StoredFile], encoder: Encoder, decoders: DecoderPool
) -> Iterator[tuple[StoredFile, LoadedFile]]:
    loader = Loader(root.path, lambda _content: (), lambda: encoder.preprocessing, decoders)
    files = [ScannedFile(file.path, file.size_bytes, file.mtime_ns) for file in stored]
    return zip(stored, loader.load(files), strict=True)


def _is_same(file: StoredFile, loaded: LoadedFile) -> bool:
    """Whether the file has the content that its rows are of, in as many items."""
    return loaded.content_hash == file.content_hash and len(loaded.items) == len(file.item_ids)


def _ids(stored: Iterable[StoredFile]) -> list[int]:
    return [item_id for file in stored for item_id in file.item_ids]


def _write(
    catalog: Catalog,
    tokens: PatchTokens,
    encoder: Encoder,
    batch: list[tuple[StoredFile, LoadedFile]],
    for_vectors: Collection[int],
    for_tokens: Collection[int],
    done: Reencoded,
    space_id: int | None,
) -> None:
    pixels = np.stack([item.pixels for _, loaded in batch for item in loaded.items])
    encoding = encoder.encode_images(pixels)
    ids = _ids(file for file, _ in batch)
    _keep(catalog, tokens, ids, encoding, for_vectors, for_tokens, done, space_id)


def _keep(
    catalog: Catalog,
    tokens: PatchTokens,
    ids: list[int],
    encoding: ImageEncoding,
    for_vectors: Collection[int],
    for_tokens: Collection[int],
    done: Reencoded,
    space_id: int | None,
) -> None:
    """Keep of an encoding, a row for each id, what is wanted."""
    lacking = [place for place, id_ in enumerate(ids) if id_ in for_vectors]
    if lacking:
        with catalog.transaction() as change:
            mine = [ids[place] for place in lacking]
            change.set_vectors(mine, encoding.vectors[lacking], space_id)
        done.vectors += len(lacking)
    bare = [place for place, id_ in enumerate(ids) if id_ in for_tokens]
    if bare and encoding.patch_tokens is not None:
        tokens.put([ids[place] for place in bare], encoding.patch_tokens[bare])
        done.tokens += len(bare)
