"""Diverse answers: maximal marginal relevance as it was defined, and through the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import SearchEngine
from retrieval.search.diversify import diversified


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 5))
    return rng.random(n), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 99), st.floats(0, 1), st.integers(1, 30))
def test_each_choice_is_the_best_by_definition(
    n: int, seed: int, balance: float, count: int
) -> None:
    scores, vectors = drawn(n, seed)
    span = scores.max() - scores.min()
    relevance = (scores - scores.min()) / span if span else np.zeros(n)
    chosen = diversified(scores, vectors, balance, count).tolist()
    assert len(chosen) == len(set(chosen)) == min(n, count)
    for place, position in enumerate(chosen):
        before = chosen[:place]

        def gain(candidate: int, before: list[int] = before) -> float:
            likeness = max((float(vectors[candidate] @ vectors[one]) for one in before), default=0)
            return balance * float(relevance[candidate]) - (1 - balance) * likeness

        left = [other for other in range(n) if other not in before]
        assert gain(position) == pytest.approx(max(map(gain, left)), abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 99))
def test_with_all_weight_on_scores_the_order_is_theirs(n: int, seed: int) -> None:
    scores, vectors = drawn(n, seed)
    assert diversified(scores, vectors, 1.0, n).tolist() == np.argsort(-scores).tolist()


def test_answers_differ_more_and_pages_are_parts_of_one_choice(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        plain = engine.search("a person", k=6)
        diverse = engine.search("a person", k=6, diverse=0.1)
        assert diverse[0].item_id == plain[0].item_id
        assert [hit.rank for hit in diverse] == list(range(1, 7))

        def likeness(hits: Any) -> float:
            vectors = engine.vectors_of(hits)
            return float((vectors @ vectors.T)[np.triu_indices(len(hits), 1)].mean())

        assert likeness(diverse) < likeness(plain)
        pages = [
            hit
            for offset in (0, 2, 4)
            for hit in engine.search("a person", k=2, offset=offset, diverse=0.1)
        ]
        assert pages == diverse
        assert engine.search("a person", k=6, diverse=1.0) == plain
        assert engine.search("a person", diverse=True, min_score=0.99) == []
        for wrong, error in ((1.5, ValueError), ("much", TypeError), (float("nan"), ValueError)):
            with pytest.raises(error, match="from 0 to 1"):
                engine.search("a person", diverse=wrong)  # type: ignore[arg-type]
