"""A copy of the vectors with what the catalogue has seen since laid over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.vectors.faiss.overlay import OverlayIndex

if TYPE_CHECKING:
    from retrieval.catalog import Catalog, QuickReader


@dataclass(frozen=True)
class OverlaySnapshot:
    """An index together with the generation of the catalogue that it shows (a `Snapshot`)."""

    index: OverlayIndex
    generation: int

    def caught_up(self, catalog: Catalog | QuickReader) -> OverlaySnapshot:
        """This snapshot with all that the catalogue has seen since."""
        if catalog.generation == self.generation:
            return self
        with catalog.changes_since(self.generation) as (generation, removed, chunks):
            written = list(chunks)
        if generation == self.generation:
            return self
        dim = self.index.dim
        ids = np.concatenate([np.empty(0, np.int64), *(chunk[0] for chunk in written)])
        vectors = np.concatenate([np.empty((0, dim), np.float16), *(chunk[1] for chunk in written)])
        return OverlaySnapshot(self.index.updated(removed, ids, vectors), generation)
