"""A FAISS index on disk, with a file that names its pictures in the order of its ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from indexer.importing.source import ForeignBatch, ForeignPicture, name_of_source, unusable
from indexer.importing.tables import known_columns, name_column, pictures
from retrieval.vectors.faiss.foreign import ForeignIndex


class FaissSource:
    """An index, and `ids`: lines of text, an array of names (.npy), or parquet, file or folder.

    clip-retrieval's `image.index` goes with its folder `metadata`. Vectors that the index keeps
    compressed come out as near as it can tell.
    """

    model: str | None = None

    def __init__(self, path: Path, ids: Path | None) -> None:
        if ids is None:
            raise unusable(path, "the file that names its pictures has to be given")
        self.name = name_of_source(path)
        self._index = ForeignIndex(path)
        self._pictures = list(_named(ids))
        self.dim = self._index.dim
        if len(self._pictures) != self._index.count:
            raise unusable(
                path,
                f"it holds {self._index.count} vectors, and {ids.name} names "
                f"{len(self._pictures)} pictures",
            )

    def names(self) -> Iterator[str]:
        """See `Source`."""
        return (picture.name for picture in self._pictures)

    def batches(self) -> Iterator[ForeignBatch]:
        """See `Source`."""
        begin = 0
        for vectors in self._index.vectors():
            yield ForeignBatch(self._pictures[begin : begin + len(vectors)], vectors)
            begin += len(vectors)


def _named(ids: Path) -> Iterator[ForeignPicture]:
    if ids.suffix == ".npy":
        yield from (ForeignPicture(str(name)) for name in np.load(ids).tolist())
    elif ids.is_dir() or ids.suffix == ".parquet":
        for path in sorted(ids.glob("*.parquet")) if ids.is_dir() else [ids]:
            with pq.ParquetFile(path) as file:
                column = name_column(file.schema_arrow.names)
                if column is None:
                    raise unusable(path, "no column of it names pictures")
                for rows in file.iter_batches(columns=known_columns(file.schema_arrow.names)):
                    yield from pictures(rows, column)
    else:
        with ids.open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from (ForeignPicture(line.rstrip("\r\n")) for line in lines)
