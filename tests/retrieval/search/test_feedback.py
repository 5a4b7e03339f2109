"""Marks move a question to what is right and away from what is wrong, and stay where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import forget_feedback, keep_feedback, remove_folder
from retrieval import MmsearchError, SearchEngine
from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.quick_reader import QuickReader
from retrieval.catalog.sqlite.recover import salvage
from retrieval.query.query import Query
from retrieval.search.engine import as_query
from retrieval.search.feedback import RIGHT_WEIGHT, Feedback, key_of, moved

ASKED = "something round"


@pytest.fixture
def index(photo_index: Path, tmp_path: Path) -> Path:
    """A copy of the shared index, to be changed."""
    shutil.copytree(photo_index, tmp_path / "index")
    return tmp_path / "index"


def unit(count: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 999))
def test_a_moved_question_is_of_unit_length_and_nearer_to_what_is_right(
    right: int, wrong: int, seed: int
) -> None:
    question, good, bad = unit(1, seed), unit(right, seed + 1000), unit(wrong, seed + 2000)
    vector = moved(question, good, bad)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    if right and not wrong:
        assert (vector @ good.mean(axis=0))[0] >= (question @ good.mean(axis=0))[0] - 1e-5
    if wrong and not right:
        assert (vector @ bad.mean(axis=0))[0] <= (question @ bad.mean(axis=0))[0] + 1e-5
    if not right and not wrong:
        assert np.allclose(vector, question, atol=1e-6)
    # As often as one likes: marks are means, not sums.
    assert np.allclose(moved(question, np.repeat(good, 3, axis=0), bad), vector, atol=1e-4)


def test_marks_that_cancel_the_question_leave_it_as_it_is() -> None:
    question = unit(1, 0)
    # Not of unit length, since no picture's vector cancels a question that counts more.
    cancelling = -question / np.float32(RIGHT_WEIGHT)
    assert np.array_equal(moved(question, cancelling, unit(0, 0)), question)


def test_a_question_is_known_by_its_words_alone(photos: Path) -> None:
    assert key_of(as_query("A  Cat ")) == key_of(Query.of("a cat")) == "a cat"
    assert key_of(as_query("a beach without people")) != key_of(as_query("a beach"))
    assert key_of(Query.of("a cat").like("a dog")) == "a cat, a dog"
    assert key_of(Query.of(photos / "coffee.png")) is None
    assert key_of(Query.of("a cat").like(photos / "coffee.png")) is None


def test_marked_answers_move_the_others_and_wrong_ones_are_left_out(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        plain = engine.search(ASKED, k=18)
        right, wrong = plain[-1], plain[0]
        found = engine.search(ASKED, k=18, feedback=Feedback([right], [wrong]))
        assert [hit.rank for hit in found] == list(range(1, len(plain)))
        assert {hit.item_id for hit in found} == {hit.item_id for hit in plain[1:]}
        assert found[0].item_id == right.item_id
        scores = [hit.score for hit in found]
        assert scores == sorted(scores, reverse=True)
        # How near a picture is to the words does not depend on marks.
        near = {hit.item_id: hit.similarity for hit in plain}
        for hit in found:
            assert hit.similarity == pytest.approx(near[hit.item_id], abs=2e-3)
        by_path = Feedback([right.path], [str(wrong.path)])
        assert engine.search(ASKED, k=18, feedback=by_path) == found
        assert engine.search_many([ASKED, "a cat"], k=18, feedback=by_path)[0] == found
        assert engine.search(ASKED, k=18, feedback=Feedback()) == plain
        pages = [
            hit
            for offset in range(0, 18, 5)
            for hit in engine.search(ASKED, k=5, offset=offset, feedback=by_path)
        ]
        assert [hit.item_id for hit in pages] == [hit.item_id for hit in found]
        filtered = engine.search(ASKED, filter="name:c*", feedback=by_path)
        assert {hit.item_id for hit in filtered} <= {hit.item_id for hit in found}


def test_feedback_that_makes_no_sense_is_refused(photo_index: Path, tmp_path: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        hit = engine.search("a cat", k=1)[0]
        with pytest.raises(ValueError, match="right and as wrong"):
            engine.search("a cat", feedback=Feedback([hit], [hit.path]))
        with pytest.raises(MmsearchError, match="is not indexed"):
            engine.search("a cat", feedback=Feedback([tmp_path / "none.png"]))
        with pytest.raises(TypeError, match="list"):
            Feedback(hit)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="feedback is"):
            engine.search("a cat", feedback="always")  # type: ignore[arg-type]


def test_kept_marks_are_asked_with_until_they_are_forgotten(index: Path) -> None:
    with SearchEngine.open(index) as engine:
        plain = engine.search(ASKED, k=18)
        marks = Feedback([plain[-1]], [plain[0]])
        given = engine.search(ASKED, k=18, feedback=marks)
        keep_feedback(ASKED, right=[plain[-1].path], wrong=[plain[0].path], index_dir=index)
        assert engine.search(f"  {ASKED.upper()} ", k=18)[0].item_id == given[0].item_id
        assert engine.search(ASKED, k=18) == given
        assert engine.search(ASKED, k=18, feedback=None) == plain
        assert engine.search("a cat", k=18) == engine.search("a cat", k=18, feedback=None)
        # One picture is one or the other.
        keep_feedback(ASKED, right=[plain[0].path], index_dir=index)
        assert plain[0].item_id in {hit.item_id for hit in engine.search(ASKED, k=18)}
        keep_feedback("a cat", right=[plain[3].path], index_dir=index)
        assert forget_feedback(ASKED, index) == 2
        assert engine.search(ASKED, k=18) == plain
        assert forget_feedback(None, index) == 1
        assert forget_feedback(None, index) == 0


def test_marks_leave_with_their_picture_and_survive_a_repair(index: Path, tmp_path: Path) -> None:
    with SearchEngine.open(index) as engine:
        hits = engine.search(ASKED, k=3)
    paths = [hit.path for hit in hits]
    keep_feedback(ASKED, right=paths[:2], wrong=paths[2:], index_dir=index)
    catalog = index / "catalog.sqlite"
    kept = {hits[0].item_id: True, hits[1].item_id: True, hits[2].item_id: False}
    salvage(catalog, tmp_path / "saved.sqlite", tmp_path / "scratch.sqlite")
    for path in (catalog, tmp_path / "saved.sqlite"):
        with Catalog.open(path) as full, QuickReader.open(path) as quick:
            assert full.marks(ASKED) == quick.marks(ASKED) == kept
            assert quick.is_quick
    remove_folder(paths[0], index)
    with Catalog.open(catalog) as full:
        assert full.marks(ASKED) == {hits[1].item_id: True, hits[2].item_id: False}
        assert {mark.path for mark in full.all_marks()} == set(paths[1:])
