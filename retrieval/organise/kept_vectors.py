"""The vectors of a whole collection, or of what a filter leaves of it, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog import Catalog
from retrieval.vectors.base import Ids


@dataclass(frozen=True, eq=False)
class KeptVectors:
    """Item ids, (n,) ascending, and their vectors, float16 (n, dim): 0.5 GB for a million."""

    ids: Ids
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def read(cls, catalog: Catalog, only: Ids | None = None) -> KeptVectors:
        """Those of a catalogue, of the items `only` (ascending) where given."""
        encoder = catalog.encoder
        dim = encoder.dim if encoder else 0
        ids = [np.empty(0, dtype=np.int64)]
        vectors = [np.empty((0, dim), dtype=np.float16)]
        with catalog.changes_since(0) as (_, _, chunks):
            for some_ids, some in chunks:
                wanted = slice(None) if only is None else np.isin(some_ids, only)
                ids.append(some_ids[wanted])
                vectors.append(some[wanted])
        return cls(np.concatenate(ids), np.concatenate(vectors))

    def without(self, ids: Ids) -> KeptVectors:
        """Those of all other items."""
        kept = ~np.isin(self.ids, ids)
        return KeptVectors(self.ids[kept], self.vectors[kept])
