"""Reranking and explaining through the engine, on real photographs with the built-in model.

The reranker is a real graph with weights drawn at random: what is tested is the way through.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import SearchEngine, UnknownModelError
from retrieval.encoders.registry import load_encoder
from retrieval.search.answer import rank_above_rest
from tests.support.small_rerankers import write_reranker

TEXT = "a cat looks at the camera"


@pytest.fixture(scope="module")
def reranked_index(photo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared index with a reranker of its own; to be read only."""
    copy = tmp_path_factory.mktemp("reranked") / "index"
    shutil.copytree(photo_index, copy)
    write_reranker(copy / "reranker", load_encoder(), weight=0.005)
    return copy


@pytest.fixture
def index(reranked_index: Path, tmp_path: Path) -> Path:
    """A copy of that index, to be changed."""
    copy = tmp_path / "index"
    shutil.copytree(reranked_index, copy)
    return copy


def test_a_reranker_gives_fused_scores_and_keeps_the_candidates(reranked_index: Path) -> None:
    with SearchEngine.open(reranked_index) as engine:
        plain = engine.search(TEXT, k=5, rerank="off", match="pictures")
        looked = engine.search(TEXT, k=5, candidates=5, match="pictures")
    assert all(hit.score == hit.similarity for hit in plain)
    assert all(hit.score != hit.similarity for hit in looked)
    assert {hit.item_id for hit in plain} == {hit.item_id for hit in looked}
    scores = [hit.score for hit in looked]
    assert scores == sorted(scores, reverse=True)
    assert looked[0].path.stem == "chelsea"


def test_what_lies_beyond_the_candidates_follows_in_the_first_stages_order(
    reranked_index: Path,
) -> None:
    with SearchEngine.open(reranked_index) as engine:
        plain = engine.search(TEXT, k=12, rerank="off")
        looked = engine.search(TEXT, k=12, candidates=4)
    assert [hit.item_id for hit in looked[4:]] == [hit.item_id for hit in plain[4:]]
    scores = [hit.score for hit in looked]
    assert scores == sorted(scores, reverse=True)


def test_many_questions_are_reranked_as_one_by_one(reranked_index: Path) -> None:
    texts = ["a cup of coffee", "a rocket is launched", TEXT]
    with SearchEngine.open(reranked_index) as engine:
        for text, hits in zip(texts, engine.search_many(texts, k=50), strict=True):
            assert hits == engine.search(text, k=50)
            assert all(hit.question == text for hit in hits)


def test_a_picture_that_asks_is_not_reranked(reranked_index: Path, photos: Path) -> None:
    with SearchEngine.open(reranked_index) as engine:
        hit = engine.search(photos / "coffee.png", k=1)[0]
        assert hit.score == hit.similarity
        assert hit.question is None
        assert engine.explain(hit) is None


@pytest.mark.parametrize("damage", ["missing", "overwritten"])
def test_without_tokens_the_first_stages_order_stands_and_one_line_says_so(
    index: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    for file in index.glob("tokens.sqlite*"):
        file.unlink()
    if damage == "overwritten":
        (index / "tokens.sqlite").write_bytes(b"no database" * 100)
    with SearchEngine.open(index) as engine:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            looked = engine.search(TEXT, k=5)
        assert looked == engine.search(TEXT, k=5, rerank="off")
        assert engine.explain(looked[0]) is None
    lines = [record.getMessage() for record in caplog.records]
    assert sum("without a second look" in line for line in lines) == 1


def test_the_reranker_trained_for_the_index_is_used(index: Path) -> None:
    with SearchEngine.open(index) as engine:
        before = engine.search(TEXT, k=5)
    write_reranker(index / "reranker", load_encoder(), weight=5.0)
    with SearchEngine.open(index) as engine:
        after = engine.search(TEXT, k=5)
    assert [hit.score for hit in before] != [hit.score for hit in after]


def test_an_unknown_reranker_is_refused(reranked_index: Path) -> None:
    with (
        SearchEngine.open(reranked_index) as engine,
        pytest.raises(UnknownModelError, match="no reranker called clairvoyant"),
    ):
        engine.search(TEXT, rerank="clairvoyant")


def test_an_explanation_has_a_heat_map_for_each_word(reranked_index: Path) -> None:
    with SearchEngine.open(reranked_index) as engine:
        hits = engine.search(TEXT, k=3)
        explanations = engine.explain_many(hits)
        first = engine.explain(hits[0])
    assert first is not None and explanations[0] is not None
    assert first.words == ("a", "cat", "looks", "at", "the", "camera")
    assert first.heat.shape == (6, 14, 14)
    assert np.allclose(first.heat.sum(axis=(1, 2)), 1.0, atol=1e-4)
    assert np.allclose(first.heat, explanations[0].heat, atol=1e-5)
    assert first.item_id == hits[0].item_id


@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=8),
    st.lists(st.floats(-1, 1), max_size=8),
)
def test_the_rest_stands_below_the_candidates_in_its_own_order(
    looked: list[float], rest: list[float]
) -> None:
    scores = rank_above_rest(np.array(looked), np.array(rest))
    assert np.array_equal(scores[: len(looked)], looked)
    assert all(scores[len(looked) :] <= min(looked) + 1e-9)
    assert np.allclose(np.diff(scores[len(looked) :]), np.diff(rest))
