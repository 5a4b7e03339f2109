"""What an index keeps of how its vectors are searched, as a run may be told it."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.catalog import Catalog
from retrieval.vectors.choice import StoreChoice
from retrieval.vectors.faiss.kinds import AUTO, check_choice
from retrieval.vectors.registry import reach_store


@dataclass(frozen=True)
class VectorChoices:
    """One of `kinds.CHOICES`, and `faiss` or a database's address; None leaves it as it was."""

    index: str | None = None
    store: str | None = None

    @classmethod
    def checked(cls, index: str | None, store: str | None) -> VectorChoices:
        """These, once they are known to make sense.

        Raises MmsearchError where `index` is no kind, VectorStoreError where `store` is not to be
        reached.
        """
        if index is not None:
            check_choice(index)
        return cls(index, None if store is None else reach_store(store))

    def keep(self, catalog: Catalog) -> None:
        """Write them into the catalogue, where they differ from what stands there."""
        if self.index is not None and self.index != (catalog.vector_index_choice or AUTO):
            with catalog.transaction() as change:
                change.set_vector_index_choice(self.index)
        if self.store is not None and self.store != StoreChoice.of(catalog.vector_store).address:
            with catalog.transaction() as change:
                change.set_vector_store(StoreChoice.at(self.store).text)
