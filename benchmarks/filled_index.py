"""An index of any size, filled with rows and vectors instead of encoding pictures.

Rows, vectors, patch tokens and the index file are written through the same classes as the indexer
uses. The tokens are those of a few real pictures, over and over: real in size and number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.catalog import Catalog, FileFacts, ItemFacts
from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.images.decode import read_image, to_pixels
from retrieval.storage.index_dir import IndexDir, resolve_index_dir
from retrieval.storage.patch_tokens import PatchTokenStore, Tokens
from samples.photos import copy_photos

_TOKENS_A_COMMIT = 2000


@dataclass(frozen=True)
class ImageRow:
    """A picture as the catalogue has it."""

    file: FileFacts
    item: ItemFacts


def made_up_row(number: int) -> ImageRow:
    """A row of the usual size for a picture that is not there."""
    name = f"2019/05/holidays in the mountains/picture-{number:07}.jpg"
    file = FileFacts(name, 2_000_000, 0, number.to_bytes(16, "big"))
    return ImageRow(file, ItemFacts(4000, 3000))


def fill_rows(
    index_dir: Path,
    root: Path,
    chunks: Iterable[Vectors],
    row_of: Callable[[int], ImageRow] = made_up_row,
) -> IndexDir:
    """Write the vectors, chunks of (n, dim), each with a row, one transaction a chunk."""
    location = resolve_index_dir(index_dir)
    number = 0
    with Catalog.create(location.catalog) as catalog:
        for vectors in chunks:
            rows = [row_of(number + place) for place in range(len(vectors))]
            number += len(vectors)
            with catalog.transaction() as change:
                change.set_encoder(CompactEncoder().space)
                folder = change.add_root(root)
                change.add_files(folder.id, [(row.file, [row.item]) for row in rows], vectors)
    return location


def fill_tokens(location: IndexDir, count: int, scratch: Path) -> None:
    """Give the first `count` pictures patch tokens, those of the test photographs in turn."""
    tokens = _real_tokens(scratch)
    with PatchTokenStore.open(location.tokens, CompactEncoder().space.fingerprint) as cache:
        for start in range(0, count, _TOKENS_A_COMMIT):
            ids = np.arange(start, min(count, start + _TOKENS_A_COMMIT))
            cache.put((ids + 1).tolist(), tokens[ids % len(tokens)])


def _real_tokens(scratch: Path) -> Tokens:
    encoder = CompactEncoder()
    photos = copy_photos(scratch)
    pixels = [to_pixels(read_image(path), encoder.preprocessing) for path in photos]
    tokens = encoder.encode_images(np.stack(pixels)).patch_tokens
    assert tokens is not None
    return tokens
