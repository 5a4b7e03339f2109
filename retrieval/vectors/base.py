"""The seams of the vectors: an index that is searched, and a store that keeps it.

The catalogue is the truth. A store holds a copy of its vectors, follows it by `changes_since`, and
can always be made again from it; `retrieval.vectors.registry` opens the one that an index has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors

if TYPE_CHECKING:
    from retrieval.catalog import Catalog, QuickReader

Ids = NDArray[np.int64]
Halves = NDArray[np.float16]


class VectorIndex(Protocol):
    """Nearest neighbours by inner product, which is the cosine since all vectors are unit length.

    Searching is thread-safe as long as nothing is added or removed meanwhile.
    """

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        ...

    @property
    def kind(self) -> str:
        """How it searches, in the words of its engine: of FAISS, a factory string."""
        ...

    def search(
        self, queries: Vectors, k: int, *, within: Ids | None = None, without: Ids | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest of each query, (q, dim): scores (q, k) falling, ids (q, k).

        `within` restricts the search to these ids, `without` leaves ids out. Where fewer than k
        are found, the rest of a row has id -1 and score -inf.
        """
        ...


class Snapshot(Protocol):
    """An index together with the generation of the catalogue that it shows."""

    @property
    def index(self) -> VectorIndex:
        """What to search."""
        ...

    @property
    def generation(self) -> int:
        """The generation of the catalogue that it shows."""
        ...

    def caught_up(self, catalog: Catalog | QuickReader) -> Snapshot:
        """This snapshot with all that the catalogue has seen since."""
        ...


@dataclass(frozen=True)
class StoreFacts:
    """What a store says of the copy that it keeps.

    `kind` is how it searches; `effort` how far it looks, 0 where that is not said; `recall` is
    recall@10 against exact search as measured when it was made, None where it was not.
    `generation` is the catalogue's that it shows, `count` how many vectors it had then.
    """

    kind: str
    generation: int
    count: int
    effort: int = 0
    recall: float | None = None


@dataclass(frozen=True)
class IndexDefects:
    """What is wrong with a store's copy of the vectors.

    `unusable` says in a few words why it cannot be used at all: `missing`, `damaged`, `of another
    catalogue`, or `out of reach`. Otherwise `lacking` counts pictures that it should hold and does
    not, `foreign` those that it holds and should not. A copy that is merely behind has no defect:
    whoever opens it catches up.
    """

    unusable: str | None = None
    lacking: int = 0
    foreign: int = 0


class ExactVectors(Protocol):
    """Vectors as they are, by id: the catalogue's own, or a copy to mend a damaged one with."""

    def vectors_of(self, ids: Ids) -> tuple[Ids, Halves]:
        """Those of the ids that it holds, ascending, with their vectors (n, dim)."""
        ...


class VectorStore(Protocol):
    """Keeps a copy of a catalogue's vectors where it can be searched, in step with it.

    Any process may `load`; `refresh` and `rebuild` are for the one that writes. All but `close`
    raise VectorStoreError where the store is not to be reached, unless something else is said.
    """

    def load(self, catalog: Catalog | QuickReader) -> Snapshot:
        """The vectors as the catalogue stands now.

        A copy that is behind is caught up with; one that is missing, damaged or out of reach is
        done without, which is said in one log line. Raises IndexMissingError where the catalogue
        has no vectors yet, VectorStoreError where they are too many to do without the copy.
        """
        ...

    def refresh(self, catalog: Catalog) -> None:
        """Bring the copy up to date."""
        ...

    def rebuild(self, catalog: Catalog) -> None:
        """Make the copy again from the catalogue, whatever is there."""
        ...

    def facts(self, catalog: Catalog | QuickReader) -> StoreFacts | None:
        """What it says of its copy; None where there is none that can be used."""
        ...

    def defects(self, catalog: Catalog) -> IndexDefects:
        """Whether the copy shows what the catalogue holds; reads all of its ids, raises nothing."""
        ...

    def exact_copy(self, catalog: Catalog, generation: int | None) -> ExactVectors | None:
        """The copy, where it is of that generation and has the vectors as they were given.

        None otherwise, also where it is not to be reached.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
