"""Encoding indexed pictures again, where their vectors or patch tokens were lost.

Only from files whose content is still what the catalogue knows: a file that has changed since is
the next indexing run's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from indexer.batch import batches
from indexer.decoders import Decoders
from indexer.load import LoadedFile, Loader
from indexer.roots import is_populated
from indexer.scan import ScannedFile
from indexer.summary import Progress
from retrieval.catalog import Catalog, Root, StoredFile
from retrieval.encoders.base import Encoder
from retrieval.token_cache import TokenCache

_BATCH_SIZE = 32


@dataclass
class EncodedAgain:
    """How many pictures got a new vector, how many new patch tokens, and which got nothing.

    `left` are ids whose file is not there, cannot be read, or has another content now.
    """

    vectors: int = 0
    tokens: int = 0
    left: set[int] = field(default_factory=set)


def encode_again(
    catalog: Catalog,
    tokens: TokenCache,
    encoder: Encoder,
    *,
    for_vectors: Collection[int],
    for_tokens: Collection[int],
    progress: Progress,
) -> EncodedAgain:
    """Make vectors and patch tokens of these pictures from their files, batch by batch.

    For the one process that writes. What is done stays done when it is cut off.
    """
    done = EncodedAgain()
    wanted = set(for_vectors) | set(for_tokens)
    decoders = Decoders()
    progress.start(len(wanted))
    try:
        for root in catalog.roots():
            stored = [file for file in catalog.stored_files(root.id) if file.picture_id in wanted]
            if not is_populated(root):
                done.left.update(file.picture_id for file in stored)
                progress.advance(len(stored))
                continue
            for batch in batches(_load(root, stored, encoder, decoders), _BATCH_SIZE):
                fitting = [(file, loaded) for file, loaded in batch if _is_same(file, loaded)]
                done.left.update(file.picture_id for file, _ in batch)
                done.left.difference_update(file.picture_id for file, _ in fitting)
                if fitting:
                    _write(catalog, tokens, encoder, fitting, for_vectors, for_tokens, done)
                progress.advance(len(batch))
    finally:
        decoders.close()
        progress.finish()
    return done


def _load(
    root: Root, stored: list[StoredFile], encoder: Encoder, decoders: Decoders
) -> Iterator[tuple[StoredFile, LoadedFile]]:
    loader = Loader(root.path, lambda _content: (), lambda: encoder.preprocessing, decoders)
    files = [ScannedFile(file.path, file.size_bytes, file.mtime_ns) for file in stored]
    return zip(stored, loader.load(files), strict=True)


def _is_same(file: StoredFile, loaded: LoadedFile) -> bool:
    return loaded.picture is not None and loaded.content_hash == file.content_hash


def _write(
    catalog: Catalog,
    tokens: TokenCache,
    encoder: Encoder,
    batch: list[tuple[StoredFile, LoadedFile]],
    for_vectors: Collection[int],
    for_tokens: Collection[int],
    done: EncodedAgain,
) -> None:
    pixels = np.stack([loaded.picture.pixels for _, loaded in batch if loaded.picture is not None])
    encoding = encoder.encode_pictures(pixels)
    ids = [file.picture_id for file, _ in batch]
    lacking = [place for place, id_ in enumerate(ids) if id_ in for_vectors]
    if lacking:
        with catalog.transaction() as change:
            change.set_vectors([ids[place] for place in lacking], encoding.vectors[lacking])
        done.vectors += len(lacking)
    bare = [place for place, id_ in enumerate(ids) if id_ in for_tokens]
    if bare and encoding.patch_tokens is not None:
        tokens.put([ids[place] for place in bare], encoding.patch_tokens[bare])
        done.tokens += len(bare)
