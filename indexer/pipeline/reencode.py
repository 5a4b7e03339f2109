"""Encoding indexed pictures again, where their vectors or patch tokens were lost.

Only from files whose content is still what the catalogue knows: a file that has changed since is
the next indexing run's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from indexer.pipeline.read import LoadedFile, Loader
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.targets import is_populated
from indexer.pipeline.write import batches
from indexer.report import Progress
from retrieval.catalog import Catalog, Root, StoredFile
from retrieval.encoders.base import Encoder
from retrieval.images.decoder_pool import DecoderPool
from retrieval.storage.patch_tokens import PatchTokenStore

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
    tokens: PatchTokenStore,
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
    tokens: PatchTokenStore,
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
