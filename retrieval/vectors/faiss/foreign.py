"""The vectors of a FAISS index that another program wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoders.base import Vectors
from retrieval.errors import MmsearchError

_ROWS_A_BATCH = 4096


class ForeignIndex:
    """Reads an index file; `count` vectors of `dim` numbers. Raises MmsearchError."""

    def __init__(self, path: Path) -> None:
        import faiss

        self._path = path
        try:
            index: Any = faiss.read_index(str(path))
        except RuntimeError as error:
            raise self._unreadable(error) from error
        self.count = int(index.ntotal)
        self.dim = int(index.d)
        self._places = np.arange(self.count)
        # Kept, since what is inside of it dies with it.
        self._file = index
        if isinstance(index, faiss.IndexIDMap):
            self._places = np.argsort(faiss.vector_to_array(index.id_map), kind="stable")
            index = faiss.downcast_index(index.index)
        self._index = index
        inner = index
        if isinstance(inner, faiss.IndexPreTransform):
            inner = faiss.downcast_index(inner.index)
        if isinstance(inner, faiss.IndexIVF):
            # An inverted file finds a vector by its id only with a map.
            inner.make_direct_map()

    def vectors(self) -> Iterator[Vectors]:
        """All vectors, in chunks of float32 (n, dim), in the order of their ids."""
        for begin in range(0, self.count, _ROWS_A_BATCH):
            places = self._places[begin : begin + _ROWS_A_BATCH]
            try:
                yield self._index.reconstruct_batch(places)
            except RuntimeError as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: RuntimeError) -> MmsearchError:
        told = str(error).strip().splitlines()[-1]
        return MmsearchError(
            f"The vectors of {self._path} cannot be read by FAISS ({told}).",
            code="import-source",
            path=self._path,
        )
