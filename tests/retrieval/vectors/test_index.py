"""The FAISS index and the layers above it agree with plain arithmetic."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytest import MonkeyPatch

from retrieval.vectors.faiss.index import FaissIndex
from retrieval.vectors.faiss.overlay import OverlayIndex

DIM = 8


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_search_returns_the_nearest_ids_best_first() -> None:
    vectors = unit_vectors(200, 0)
    ids = np.arange(200) * 3 + 5
    index = FaissIndex.empty(DIM)
    index.add(ids, vectors)
    scores, found = index.search(vectors[:4], 10)
    exact = vectors[:4] @ vectors.T
    assert np.allclose(scores, -np.sort(-exact, axis=1)[:, :10], atol=2e-3)
    assert found[:, 0].tolist() == ids[:4].tolist()


def test_rows_with_fewer_answers_than_asked_for_end_in_minus_one() -> None:
    index = FaissIndex.empty(DIM)
    index.add(np.array([4, 9]), unit_vectors(2, 1))
    scores, ids = index.search(unit_vectors(1, 2), 5)
    assert set(ids[0, :2]) == {4, 9}
    assert ids[0, 2:].tolist() == [-1, -1, -1]
    assert np.isneginf(scores[0, 2:]).all()


def test_an_empty_index_answers_with_nothing() -> None:
    _scores, ids = FaissIndex.empty(DIM).search(unit_vectors(1, 0), 3)
    assert ids.tolist() == [[-1, -1, -1]]


def test_a_mapped_file_answers_like_the_index_it_was_saved_from(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "index.faiss"
    index = FaissIndex.empty(DIM)
    index.add(np.arange(50), unit_vectors(50, 3))
    index.save(path)
    mapped = FaissIndex.map(path, index.kind)
    question = unit_vectors(3, 4)
    for one, other in zip(index.search(question, 7), mapped.search(question, 7), strict=True):
        assert np.array_equal(one, other)


@given(
    within=st.sets(st.integers(0, 60), max_size=40),
    without=st.sets(st.integers(0, 60), max_size=40),
    k=st.integers(1, 70),
)
@settings(deadline=None, max_examples=60)
def test_a_restricted_search_finds_exactly_the_best_of_the_allowed(
    within: set[int], without: set[int], k: int
) -> None:
    vectors = unit_vectors(50, 5)
    index = FaissIndex.empty(DIM)
    index.add(np.arange(50), vectors)
    question = unit_vectors(1, 6)
    allowed = np.array(sorted((within - without) & set(range(50))), dtype=np.int64)
    _scores, ids = index.search(
        question,
        k,
        within=np.array(sorted(within), dtype=np.int64),
        without=np.array(sorted(without), dtype=np.int64),
    )
    found = [id_ for id_ in ids[0].tolist() if id_ >= 0]
    assert len(found) == min(k, len(allowed))
    similarity = (vectors @ question[0])[allowed]
    best = -np.sort(-similarity)[: len(found)]
    assert np.allclose((vectors @ question[0])[found], best, atol=2e-3)


_changes = st.lists(
    st.tuples(
        st.sets(st.integers(0, 39), max_size=8),
        st.dictionaries(st.integers(0, 39), st.integers(0, 1000), max_size=8),
    ),
    max_size=6,
)


@given(changes=_changes, start=st.integers(0, 30))
@settings(deadline=None, max_examples=60)
def test_layers_hold_what_a_dictionary_would_after_any_changes(
    changes: list[tuple[set[int], dict[int, int]]], start: int
) -> None:
    truth = dict(enumerate(unit_vectors(start, 7)))
    base = FaissIndex.empty(DIM)
    base.add(np.arange(start), unit_vectors(start, 7))
    index = OverlayIndex(base)
    for removed, written in changes:
        removed = removed - set(written)
        fresh = {id_: unit_vectors(1, seed)[0] for id_, seed in written.items()}
        for id_ in removed:
            truth.pop(id_, None)
        truth.update(fresh)
        index = index.updated(
            np.array(sorted(removed), dtype=np.int64),
            np.array(list(fresh), dtype=np.int64),
            np.array(list(fresh.values()), dtype=np.float16).reshape(-1, DIM),
        )
    question = unit_vectors(1, 8)
    scores, ids = index.search(question, 40)
    found = {id_: score for id_, score in zip(ids[0].tolist(), scores[0], strict=True) if id_ >= 0}
    assert found.keys() == truth.keys()
    for id_, score in found.items():
        assert abs(score - float(truth[id_] @ question[0])) < 2e-3


def test_questions_asked_together_find_what_each_finds_alone() -> None:
    vectors = unit_vectors(5_000, 3)
    asked = unit_vectors(40, 4)
    among = np.arange(0, 5_000, 3)
    for kind, effort in (("SQ8", 0), ("IVF64,SQ8", 5), ("HNSW32,SQ8", 32)):
        index = FaissIndex.trained(kind, vectors)
        index.add(np.arange(5_000), vectors)
        index.effort = effort
        for within in (None, among):
            scores, ids = index.search(asked, 10, within=within)
            alone = [index.search(asked[row : row + 1], 10, within=within) for row in range(40)]
            assert np.array_equal(scores, np.concatenate([found for found, _ in alone]))
            assert np.array_equal(ids, np.concatenate([found for _, found in alone]))


def test_a_question_among_many_looks_as_far_as_it_would_alone(monkeypatch: MonkeyPatch) -> None:
    # Ten thousandth of the real number, so that this many count as many.
    monkeypatch.setattr("retrieval.vectors.faiss.index._SCANNED_WHOLE", 5)
    vectors = unit_vectors(3_000, 5)
    asked = unit_vectors(20, 6)
    among = np.arange(0, 3_000, 7)
    index = FaissIndex.trained("IVF32,SQ8", vectors)
    index.add(np.arange(3_000), vectors)
    index.effort = 3
    scores, ids = index.search(asked, 5, within=among)
    for row in range(20):
        alone = index.search(asked[row : row + 1], 5, within=among)
        assert np.array_equal(scores[row], alone[0][0])
        assert np.array_equal(ids[row], alone[1][0])
