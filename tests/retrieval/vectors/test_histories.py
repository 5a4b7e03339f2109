"""Whatever happens to a catalogue and its store, in whatever order, answers are those of the truth.

Hypothesis makes up histories: pictures come, change and go, the copy is brought up to date, made
again, cut off in the middle of either, or opened by another process, and questions are asked of
snapshots that were taken at any time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from retrieval.vectors.base import Snapshot
from retrieval.vectors.choice import FAISS
from tests.retrieval.vectors.followed import Followed, recall, unit_vectors
from tests.retrieval.vectors.test_stores import LEAST_RECALL, CutOffError, halting_at

QUESTIONS = unit_vectors(5, 42)
CALLS = ("put", "remove", "settle", "write_state", "create", "drop")


class Histories(RuleBasedStateMachine):
    """A catalogue with a store at `address`; each history has a folder of its own."""

    address = FAISS
    folder: Callable[[], Path]

    def __init__(self) -> None:
        super().__init__()
        self.followed = Followed(type(self).folder(), self.address)
        self.snapshot: Snapshot | None = None
        self.seed = 0

    @initialize(count=st.integers(1, 40))
    def begin(self, count: int) -> None:
        self.followed.add(count)

    @rule(count=st.integers(1, 40), root=st.integers(0, 1))
    def pictures_come(self, count: int, root: int) -> None:
        self.followed.add(count, root=root, seed=self.seed)

    @rule(data=st.data())
    @precondition(lambda self: len(self.followed.ids()))
    def pictures_change(self, data: st.DataObject) -> None:
        self.seed += 1000
        items = self.followed.catalog.items(self._some(data))
        for item in items.values():
            root = 0 if item.path.is_relative_to("/photos") else 1
            self.followed.write([item.path.name], unit_vectors(1, self.seed + item.id), root)

    @rule(data=st.data())
    @precondition(lambda self: len(self.followed.ids()))
    def pictures_go(self, data: st.DataObject) -> None:
        self.followed.remove(self._some(data))

    @rule()
    def the_copy_is_refreshed(self) -> None:
        self.followed.store.refresh(self.followed.catalog)

    @rule()
    def the_copy_is_made_again(self) -> None:
        self.followed.store.rebuild(self.followed.catalog)

    @rule(call=st.sampled_from(CALLS), after=st.integers(0, 2), is_rebuilt=st.booleans())
    @precondition(lambda self: self.address != FAISS)
    def writing_is_cut_off(self, call: str, after: int, is_rebuilt: bool) -> None:
        store = self.followed.store
        with suppress(CutOffError), halting_at(store, call, after):
            (store.rebuild if is_rebuilt else store.refresh)(self.followed.catalog)

    @rule()
    def another_process_opens_the_store(self) -> None:
        self.followed.store.close()
        self.followed.store = self.followed.reopened()
        self.snapshot = None

    @rule(data=st.data(), is_restricted=st.booleans(), is_lessened=st.booleans())
    def questions_are_asked(
        self, data: st.DataObject, is_restricted: bool, is_lessened: bool
    ) -> None:
        catalog = self.followed.catalog
        if self.snapshot is None:
            self.snapshot = self.followed.store.load(catalog)
        else:
            self.snapshot = self.snapshot.caught_up(catalog)
        assert self.snapshot.generation == catalog.generation
        within = np.array(sorted({*self._some(data), 10**6})) if is_restricted else None
        without = np.array(self._some(data), dtype=np.int64) if is_lessened else None
        for k in (1, 10, 200):
            found = recall(self.snapshot.index, catalog, QUESTIONS, k, within, without)
            assert found >= LEAST_RECALL

    @rule()
    def the_copy_is_checked(self) -> None:
        defects = self.followed.store.defects(self.followed.catalog)
        assert (defects.lacking, defects.foreign) == (0, 0)
        assert defects.unusable in (None, "missing")

    def teardown(self) -> None:
        self.followed.close()

    def _some(self, data: st.DataObject) -> list[int]:
        ids = self.followed.ids().tolist()
        if not ids:
            return []
        return sorted(data.draw(st.sets(st.sampled_from(ids), max_size=30)))


def test_no_history_leads_a_store_astray(address: str, tmp_path: Path) -> None:
    def folder() -> Path:
        return Path(tempfile.mkdtemp(dir=tmp_path))

    kind = type("Kind", (Histories,), {"address": address, "folder": staticmethod(folder)})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=25 if address == FAISS else 8,
            stateful_step_count=15,
            deadline=None,
            # Making a history with a database shorter takes minutes.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
