"""What an importer reads: pictures of another program, with their vectors, batch by batch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import MmsearchError
from retrieval.images.facts import NO_METADATA, ImageMetadata

ROWS_A_BATCH = 4096


class ForeignPicture(NamedTuple):
    """A picture as the other program knows it. `name` is its path, its key or its address.

    Sizes are 0 where they are not known, `mtime_ns` as well.
    """

    name: str
    metadata: ImageMetadata = NO_METADATA
    width_px: int = 0
    height_px: int = 0
    size_bytes: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True)
class ForeignBatch:
    """Pictures, and their vectors, float (n, dim), of any length, in the same order."""

    pictures: list[ForeignPicture]
    vectors: NDArray[np.floating]


class Source(Protocol):
    """What another program has left. `name` tells it from others, see `name_of_source`.

    `model` is the encoder that made the vectors, as `load_encoder` takes it, None where the source
    does not say; `dim` is how long the vectors are.
    """

    name: str
    model: str | None
    dim: int

    def names(self) -> Iterator[str]:
        """The names of all its pictures, without reading a vector."""
        ...

    def batches(self) -> Iterator[ForeignBatch]:
        """All its pictures, in the order of `names`."""
        ...


def name_of_source(path: Path) -> str:
    """A name for files of others, which those of the same name in another folder do not share.

    Datasets are called alike (`image.index`, `embeddings`), and so are their pictures.
    """
    whole = path.resolve()
    digest = hashlib.blake2b(os.fsencode(whole), digest_size=4).hexdigest()
    return f"{whole.stem if whole.is_file() else whole.name}-{digest}"


def unusable(path: Path, why: str) -> MmsearchError:
    """The error for a source that cannot be read as what it should be."""
    return MmsearchError(f"{path} cannot be imported: {why}.", code="import-source", path=path)
