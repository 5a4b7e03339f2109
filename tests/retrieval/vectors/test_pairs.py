"""Near pairs are those that comparing all with all finds."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.vectors.faiss import pairs
from retrieval.vectors.faiss.pairs import near_pairs


def collection(count: int, dim: int = 32) -> np.ndarray:
    """Unit vectors, float16, the second half near the first."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=(count // 2, dim))
    second = first + rng.normal(size=first.shape) * 0.3
    both = np.concatenate([first, second])
    return (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float16)


def all_pairs(vectors: np.ndarray, least: float) -> set[tuple[int, int]]:
    cosines = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    ones, others = np.nonzero(np.triu(cosines >= least, 1))
    return set(zip(ones.tolist(), others.tolist(), strict=True))


def test_all_pairs_are_found_the_nearest_first() -> None:
    vectors = collection(600)
    done: list[int] = []
    found = near_pairs(vectors, 0.85, advance=done.append)
    told = set(zip(found.one.tolist(), found.other.tolist(), strict=True))
    assert told == all_pairs(vectors, 0.85) and len(told) == len(found) > 200
    assert (np.diff(found.cosines) <= 0).all()
    assert sum(done) == 600


def test_of_many_nearly_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_COMPARED_WITH_ALL", 1000)
    vectors = collection(6000)
    found = near_pairs(vectors, 0.85)
    told = set(zip(found.one.tolist(), found.other.tolist(), strict=True))
    right = all_pairs(vectors, 0.85)
    assert told <= right
    assert len(told) > 0.9 * len(right)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_make_no_pair(count: int) -> None:
    assert len(near_pairs(np.ones((count, 4), dtype=np.float16), 0.5)) == 0
