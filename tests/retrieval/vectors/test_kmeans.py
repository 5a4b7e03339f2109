"""k-means finds groups that are there, and its measure says how many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.vectors.faiss.kmeans import partition, separation


def groups(sizes: list[int], dim: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around as many directions as there are sizes, and which each belongs to."""
    rng = np.random.default_rng(5)
    middles = rng.normal(size=(len(sizes), dim))
    own = np.repeat(np.arange(len(sizes)), sizes)
    vectors = middles[own] + rng.normal(size=(len(own), dim)) * 0.2
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32), own


def test_groups_that_stand_apart_are_found() -> None:
    vectors, own = groups([50, 30, 20, 10])
    found = partition(vectors, 4)
    for group in range(4):
        assert len(set(own[found.group == group])) == 1
    scores = {k: separation(vectors, partition(vectors, k)) for k in (2, 3, 4, 6, 8)}
    assert max(scores, key=scores.__getitem__) == 4


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.data())
def test_every_vector_is_in_its_nearest_group(count: int, data: st.DataObject) -> None:
    vectors, _ = groups([count])
    found = partition(vectors, data.draw(st.integers(1, count)))
    scores = vectors @ found.centroids.T
    assert np.allclose(found.cosine, scores.max(axis=1), atol=1e-5)
    assert set(found.group) == set(range(len(found)))
    again = partition(vectors, len(found))
    assert np.array_equal(partition(vectors, len(found)).group, again.group)


def test_more_groups_than_vectors_are_refused() -> None:
    vectors, _ = groups([3])
    with pytest.raises(ValueError, match="3 vectors"):
        partition(vectors, 4)
