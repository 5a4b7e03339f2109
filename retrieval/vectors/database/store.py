"""A copy of the catalogue's vectors in a database, which follows the catalogue.

What the copy shows stands beside it, as a `StoreState`. Changes are written from the generation
that it names on, and the state last. So a copy that was cut off in the middle of them is one that
is behind: whatever was written since that generation is looked for in the catalogue, and hidden in
the copy, until the same changes are written once more. A copy that is made anew is another table,
and takes over by one write of the state.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.encoders.base import Vectors
from retrieval.errors import IndexMissingError, VectorStoreError
from retrieval.vectors.base import Halves, Ids, IndexDefects, StoreFacts, VectorIndex
from retrieval.vectors.choice import StoreChoice
from retrieval.vectors.database.base import VectorDatabase
from retrieval.vectors.faiss.overlay import OverlayIndex
from retrieval.vectors.snapshot import OverlaySnapshot

if TYPE_CHECKING:
    from retrieval.catalog import Catalog

logger = logging.getLogger(__name__)

# So many vectors are searched in memory where the database is not to be had; more would not fit.
LARGEST_WITHOUT = 2_000_000
_RETRY_S = 30.0
_STATE = "_state"


@dataclass(frozen=True)
class StoreState:
    """What a copy shows, as it stands beside it.

    `table` has the vectors, of the space with this `fingerprint`, as the catalogue had them at
    `generation`; `stamp` is of the last writing. `roots`: the lowest and the highest id that a
    root's vectors were ever put under.
    """

    table: str
    dim: int
    fingerprint: str
    generation: int
    count: int
    stamp: str
    roots: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str | None) -> Self | None:
        """What a text says; None where it cannot be read."""
        try:
            values = json.loads(text or "")
            roots = {int(root): (low, high) for root, (low, high) in values["roots"].items()}
            return cls(**{**values, "roots": roots})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @property
    def text(self) -> str:
        """The state as it is written."""
        return json.dumps(asdict(self))

    def roots_of(self, ids: Ids) -> tuple[int, ...]:
        """Roots that the ids' vectors may have been put under: all of theirs, and maybe more."""
        lowest, highest = int(ids.min()), int(ids.max())
        return tuple(
            sorted(
                root
                for root, (low, high) in self.roots.items()
                if low <= highest and lowest <= high
            )
        )


class TableIndex:
    """A table of a database that is searched (a `VectorIndex`). Thread-safe.

    Where the database fails, `make_spare` gives an index in memory, which answers until the
    database is tried again, `_RETRY_S` seconds later.
    """

    def __init__(
        self,
        database: VectorDatabase,
        state: StoreState,
        make_spare: Callable[[str], VectorIndex],
    ) -> None:
        self._database = database
        self._state = state
        self._make_spare = make_spare
        self._spare: VectorIndex | None = None
        self._tried_again_at = 0.0
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._state.dim

    @property
    def kind(self) -> str:
        """How the database searches."""
        return self._database.kind

    def search(
        self, queries: Vectors, k: int, *, within: Ids | None = None, without: Ids | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest of each query, (q, dim); see `VectorIndex.search`.

        Raises VectorStoreError where the database fails and its vectors are too many for memory.
        """
        spare = self._spare
        if spare is None or time.monotonic() >= self._tried_again_at:
            try:
                return self._search_table(queries, k, within, without)
            except VectorStoreError as error:
                spare = self._spare_after(error)
        return spare.search(queries, k, within=within, without=without)

    def _spare_after(self, error: VectorStoreError) -> VectorIndex:
        with self._lock:
            if self._spare is None:
                self._spare = self._make_spare(str(error).rstrip("."))
            self._tried_again_at = time.monotonic() + _RETRY_S
            return self._spare

    def _search_table(
        self, queries: Vectors, k: int, within: Ids | None, without: Ids | None
    ) -> tuple[Vectors, Ids]:
        if within is not None and without is not None:
            within, without = within[~np.isin(within, without, assume_unique=True)], None
        if not k or not len(queries) or (within is not None and not len(within)):
            return _nothing(len(queries), k)
        roots = None if within is None else self._state.roots_of(within)
        if roots == ():
            return _nothing(len(queries), k)
        scores, ids = self._database.search(
            self._state.table,
            np.ascontiguousarray(queries, dtype=np.float32),
            k if within is None else min(k, len(within)),
            within=within,
            without=without,
            roots=roots,
        )
        missing = ((0, 0), (0, k - scores.shape[1]))
        return (
            np.pad(scores, missing, constant_values=-np.inf),
            np.pad(ids, missing, constant_values=-1),
        )


@dataclass(frozen=True)
class DatabaseSnapshot:
    """A copy in a database as the catalogue stood (a `Snapshot`).

    `state` is None where the database is done without.
    """

    shown: OverlaySnapshot
    state: StoreState | None
    store: DatabaseStore

    @property
    def index(self) -> OverlayIndex:
        """What to search."""
        return self.shown.index

    @property
    def generation(self) -> int:
        """The generation of the catalogue that it shows."""
        return self.shown.generation

    def caught_up(self, catalog: Catalog | QuickReader) -> DatabaseSnapshot:
        """This snapshot with all that the catalogue has seen since."""
        if catalog.generation == self.generation:
            return self
        state = None
        with suppress(VectorStoreError):
            state = self.store.usable_state(catalog)
        if state == self.state:
            return replace(self, shown=self.shown.caught_up(catalog))
        return self.store.load(catalog)


class DatabaseStore:
    """Keeps a copy of a catalogue's vectors in a database (a `VectorStore`)."""

    def __init__(self, database: VectorDatabase) -> None:
        self._database = database

    def load(self, catalog: Catalog | QuickReader) -> DatabaseSnapshot:
        """The vectors as the catalogue stands now; see `VectorStore.load`."""
        try:
            state = self.usable_state(catalog)
            reason = f"The vector store at {self._database.place} has no copy of this index"
        except VectorStoreError as error:
            state, reason = None, str(error).rstrip(".")
        if state is None:
            return DatabaseSnapshot(self._do_without(catalog, reason), None, self)

        def make_spare(reason: str) -> VectorIndex:
            return self._do_without(catalog, reason).index

        index = OverlayIndex(TableIndex(self._database, state, make_spare))
        shown = OverlaySnapshot(index, state.generation).caught_up(catalog)
        return DatabaseSnapshot(shown, state, self)

    def refresh(self, catalog: Catalog) -> None:
        """Bring the copy up to date; for the one process that writes the catalogue."""
        if catalog.encoder is None:
            return
        state = self.usable_state(catalog)
        if state is None:
            self.rebuild(catalog)
            return
        if state.generation == catalog.generation:
            return
        choice = self._begin(catalog, state.stamp)
        with catalog.changes_since(state.generation) as (generation, removed, chunks):
            self._database.remove(state.table, removed)
            roots = self._put_all(catalog, state.table, chunks, dict(state.roots), replacing=True)
        count = catalog.count_items()
        self._database.settle(state.table, count)
        written = replace(
            state, generation=generation, count=count, stamp=choice.stamps[-1], roots=roots
        )
        self._database.write_state(choice.name + _STATE, written.text)

    def rebuild(self, catalog: Catalog) -> None:
        """Make the copy again from the catalogue, whatever is there; for the writing process."""
        encoder = catalog.encoder
        if encoder is None:
            raise IndexMissingError("Nothing has been indexed yet.")
        choice = StoreChoice.of(catalog.vector_store)
        former = StoreState.of(self._database.read_state(choice.name + _STATE))
        if former is not None and former.stamp not in choice.stamps:
            # Another index writes there, whose tables are to stay as they are.
            choice, former = choice.afresh(), None
            catalog.note_vector_store(choice.text)
        choice = self._begin(catalog, former.stamp if former else None)
        # Nothing has changed, but readers look for another copy where they see a new generation.
        with catalog.transaction():
            pass
        table = f"{choice.name}_{secrets.token_hex(4)}"
        self._database.create(table, encoder.dim)
        with catalog.changes_since(0) as (generation, _removed, chunks):
            roots = self._put_all(catalog, table, chunks, {}, replacing=False)
        count = catalog.count_items()
        self._database.settle(table, count)
        state = StoreState(
            table, encoder.dim, encoder.fingerprint, generation, count, choice.stamps[-1], roots
        )
        self._database.write_state(choice.name + _STATE, state.text)
        # The former table stays until the next one: questions that began with it go on in it.
        kept = {table, former.table if former else table, choice.name + _STATE}
        for other in self._database.tables(choice.name):
            if other not in kept:
                self._database.drop(other)

    def facts(self, catalog: Catalog | QuickReader) -> StoreFacts | None:
        """What the copy is; None where none can be used."""
        state = self.usable_state(catalog)
        if state is None:
            return None
        return StoreFacts(self._database.kind, state.generation, state.count)

    def defects(self, catalog: Catalog) -> IndexDefects:
        """Compare the state and the ids of the copy with the catalogue."""
        if catalog.encoder is None:
            return IndexDefects()
        choice = StoreChoice.of(catalog.vector_store)
        try:
            state = StoreState.of(self._database.read_state(choice.name + _STATE))
            if state is None or state.table not in self._database.tables(state.table):
                return IndexDefects("missing")
            if self.usable_state(catalog) is None:
                return IndexDefects("of another catalogue")
            stored = self._database.ids(state.table)
        except VectorStoreError as error:
            return IndexDefects(f"out of reach: {str(error).rstrip('.')}")
        with catalog.changes_since(state.generation) as (_generation, removed, _chunks):
            written = catalog.vector_ids(since=state.generation)
        wanted = catalog.vector_ids()
        shown = np.union1d(np.setdiff1d(stored, removed), written)
        # What was written since is hidden there, and may be there already or not.
        twice = len(stored) - len(np.unique(stored))
        return IndexDefects(
            lacking=len(np.setdiff1d(wanted, shown)),
            foreign=len(np.setdiff1d(shown, wanted)) + twice,
        )

    def exact_copy(self, catalog: Catalog, generation: int | None) -> TableVectors | None:
        """The copy, where it is of that generation; its vectors are as they were given."""
        with suppress(VectorStoreError):
            state = self._state(StoreChoice.of(catalog.vector_store))
            if state is not None and state.generation == generation:
                return TableVectors(self._database, state.table)
        return None

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def usable_state(self, catalog: Catalog | QuickReader) -> StoreState | None:
        """The state of the copy; None where there is none that is of this catalogue.

        Raises VectorStoreError where the database is not to be reached.
        """
        encoder = catalog.encoder
        # Twice: a writer may have noted its next stamp and written between two looks.
        for _ in range(2):
            choice = StoreChoice.of(catalog.vector_store)
            state = self._state(choice)
            if state is not None:
                break
        if state is None or encoder is None:
            return None
        is_of_catalog = state.fingerprint == encoder.fingerprint and state.dim == encoder.dim
        if not is_of_catalog or state.generation > catalog.generation:
            return None
        return state

    def _state(self, choice: StoreChoice) -> StoreState | None:
        state = StoreState.of(self._database.read_state(choice.name + _STATE))
        if state is None or state.stamp not in choice.stamps:
            return None
        return state if state.table in self._database.tables(state.table) else None

    def _begin(self, catalog: Catalog, present: str | None) -> StoreChoice:
        """Note the stamp that the copy is about to get, so that it is known whatever happens."""
        choice = StoreChoice.of(catalog.vector_store).stamped(present)
        catalog.note_vector_store(choice.text)
        return choice

    def _put_all(
        self,
        catalog: Catalog,
        table: str,
        chunks: Iterable[tuple[Ids, Halves]],
        roots: dict[int, tuple[int, int]],
        *,
        replacing: bool,
    ) -> dict[int, tuple[int, int]]:
        """Write vectors to a table; returns `roots`, widened by their ids."""
        for ids, vectors in chunks:
            if replacing:
                self._database.remove(table, ids)
            owners = catalog.root_ids_of(ids.tolist())
            self._database.put(table, ids, owners, vectors)
            for root in np.unique(owners).tolist():
                own = ids[owners == root]
                low, high = roots.get(root, (int(own.min()), int(own.max())))
                roots[root] = (min(low, int(own.min())), max(high, int(own.max())))
        return roots

    def _do_without(self, catalog: Catalog | QuickReader, reason: str) -> OverlaySnapshot:
        """The vectors in memory, as the catalogue has them."""
        # Here, since a store that is there needs none of it.
        from retrieval.vectors.faiss.store import build_index

        full = catalog.full if isinstance(catalog, QuickReader) else catalog
        count = full.count_items()
        if count > LARGEST_WITHOUT:
            raise VectorStoreError(f"{reason}, and {count:,} pictures are too many without it.")
        built = build_index(full)
        logger.warning("%s: its vectors are searched in memory instead.", reason)
        return OverlaySnapshot(OverlayIndex(built.index), built.generation)


@dataclass(frozen=True)
class TableVectors:
    """The vectors of a table (`ExactVectors`)."""

    database: VectorDatabase
    table: str

    def vectors_of(self, ids: Ids) -> tuple[Ids, Halves]:
        """Those of the ids that it holds, ascending, with their vectors (n, dim)."""
        return self.database.vectors_of(self.table, ids)


def _nothing(questions: int, k: int) -> tuple[Vectors, Ids]:
    return (
        np.full((questions, k), -np.inf, dtype=np.float32),
        np.full((questions, k), -1, dtype=np.int64),
    )
