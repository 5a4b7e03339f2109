"""A few bits a vector find candidates; the vectors themselves choose among them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.catalog import Catalog, QuickReader
from retrieval.encoders.space import EmbeddingSpace
from retrieval.vectors.base import Halves, Ids, VectorIndex
from retrieval.vectors.faiss import kinds, refined
from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.refined import RefinedIndex
from retrieval.vectors.faiss.store import FaissStore
from tests.support.rows import pictures

DIM, COUNT = 64, 6000
FEW = 60


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors whose first numbers say the most, as those of many models do."""
    drawn = np.random.default_rng(seed).standard_normal((count, DIM)) / np.arange(1, DIM + 1)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


VECTORS = unit_vectors(COUNT, 0)
HALVES = VECTORS.astype(np.float16)
IDS = np.arange(1, COUNT + 1)


class Kept:
    """Gives the vectors of all ids but those that are gone."""

    def __init__(self, gone: Collection[int] = ()) -> None:
        self._gone = np.array(sorted(gone), dtype=np.int64)

    def vectors_of(self, ids: Ids) -> tuple[Ids, Halves]:
        held = np.intersect1d(np.setdiff1d(ids, self._gone), IDS)
        return held, HALVES[held - 1]


@cache
def coarse() -> FaissIndex:
    index = FaissIndex.trained(kinds.choose_kind(COUNT, kinds.RABITQ), VECTORS)
    index.add(IDS, VECTORS)
    index.effort = index.largest_effort
    return index


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refined, "_CANDIDATES", FEW)
    monkeypatch.setattr(refined, "_CANDIDATES_A_HIT", 4)
    monkeypatch.setattr(refined, "_FEW", 20)


def recall(index: VectorIndex, questions: NDArray[np.float32]) -> float:
    truth = np.argsort(-(questions @ HALVES.astype(np.float32).T), axis=1)[:, :10] + 1
    _scores, found = index.search(questions, 10)
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)]))


@pytest.mark.usefixtures("few_candidates")
def test_candidates_that_are_compared_again_are_the_right_ones_far_more_often() -> None:
    questions = unit_vectors(200, 1)
    assert recall(coarse(), questions) < 0.75
    assert recall(RefinedIndex(coarse(), Kept()), questions) > 0.95


def test_its_scores_are_the_cosines_themselves_the_best_first() -> None:
    questions = unit_vectors(5, 2)
    scores, ids = RefinedIndex(coarse(), Kept()).search(questions, 20)
    for row, question in enumerate(questions):
        cosines = HALVES[ids[row] - 1].astype(np.float32) @ question
        assert np.allclose(scores[row], cosines, atol=1e-6)
        assert (np.diff(scores[row]) <= 0).all()


@pytest.mark.usefixtures("few_candidates")
@given(
    within=st.sets(st.integers(1, COUNT + 50), max_size=60) | st.none(),
    without=st.sets(st.integers(1, COUNT + 50), max_size=60) | st.none(),
    gone=st.sets(st.integers(1, COUNT), max_size=60),
    k=st.integers(1, 70),
)
@settings(deadline=None, max_examples=60)
def test_it_finds_what_is_there_and_allowed_and_nothing_twice(
    within: set[int] | None, without: set[int] | None, gone: set[int], k: int
) -> None:
    there = RefinedIndex(coarse(), Kept(gone))
    scores, ids = there.search(VECTORS[:2], k, within=_sorted(within), without=_sorted(without))
    allowed = set(range(1, COUNT + 1)) if within is None else within & set(range(1, COUNT + 1))
    allowed -= (without or set()) | gone
    for row in range(2):
        found = ids[row][ids[row] >= 0].tolist()
        assert len(found) == len(set(found))
        assert set(found) <= allowed
        assert np.isneginf(scores[row, len(found) :]).all()
        if within is not None:
            assert len(found) == min(k, len(allowed))


def test_a_folder_that_holds_nothing_like_the_question_still_gives_its_best() -> None:
    question = VECTORS[:1]
    far = np.sort(np.argsort(question[0] @ VECTORS.T)[:300] + 1)
    _scores, found = RefinedIndex(coarse(), Kept()).search(question, 10, within=far)
    cosines = HALVES.astype(np.float32) @ question[0]
    assert found[0].tolist() == far[np.argsort(-cosines[far - 1], kind="stable")[:10]].tolist()


@pytest.mark.parametrize("quick", [True, False])
def test_the_catalogue_gives_the_vectors_and_what_it_learns_later_is_found_once(
    tmp_path: Path, quick: bool
) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog.create(path) as catalog:
        with catalog.transaction() as change:
            change.set_encoder(EmbeddingSpace("test", DIM, "f" * 32))
            change.set_vector_index_choice(kinds.RABITQ)
            root = change.add_root(Path("/photos"))
            change.add_files(root.id, pictures([f"{n}.jpg" for n in range(COUNT)]), VECTORS)
        store = FaissStore(tmp_path)
        store.refresh(catalog)
        manifest = store.manifest()
        assert manifest is not None
        assert kinds.family_of(manifest.kind) == kinds.RABITQ
        with catalog.transaction() as change:
            # The first picture now shows what no other does, and the second is gone.
            change.add_files(root.id, pictures(["0.jpg"]), -VECTORS[:1])
            change.remove_files([2])
        reader: Catalog | QuickReader = QuickReader.open(path) if quick else catalog
        index = store.load(reader).index
        _scores, ids = index.search(-VECTORS[:1], 10)
        assert ids[0, 0] == 1
        assert (ids[0] == 1).sum() == 1
        _scores, ids = index.search(VECTORS[1:2], 10)
        assert not np.isin(ids, [2]).any()
        assert store.defects(catalog).lacking == store.defects(catalog).foreign == 0
        if isinstance(reader, QuickReader):
            reader.close()


def test_vectors_of_another_size_are_no_answer() -> None:
    _scores, ids = RefinedIndex(coarse(), FaissIndex.empty(DIM)).search(VECTORS[:1], 5)
    assert ids.tolist() == [[-1] * 5]
    other = FaissIndex.empty(DIM // 2)
    other.add(IDS, VECTORS[:, : DIM // 2])
    _scores, ids = RefinedIndex(coarse(), other).search(VECTORS[:1], 5)
    assert ids.tolist() == [[-1] * 5]


def _sorted(ids: set[int] | None) -> Ids | None:
    return None if ids is None else np.array(sorted(ids), dtype=np.int64)
