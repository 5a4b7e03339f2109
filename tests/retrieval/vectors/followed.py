"""A catalogue with a store that follows it, and what exact search over the catalogue says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog import Catalog
from retrieval.encoders.space import EmbeddingSpace
from retrieval.vectors.base import Ids, VectorIndex, VectorStore
from retrieval.vectors.choice import FAISS, StoreChoice
from retrieval.vectors.registry import reach_store, store_of
from tests.support.rows import pictures

DIM = 32
ROOTS = (Path("/photos"), Path("/scans"))


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@dataclass
class Followed:
    """A catalogue, and the address of its store."""

    folder: Path
    address: str

    def __post_init__(self) -> None:
        self.catalog = Catalog.create(self.folder / "catalog.sqlite")
        self.store = self.reopened()
        self._number = 0

    def choose(self) -> None:
        if self.address != FAISS and self.catalog.vector_store is None:
            with self.catalog.transaction() as change:
                change.set_vector_store(StoreChoice.at(reach_store(self.address)).text)

    def reopened(self) -> VectorStore:
        """The store as another process opens it."""
        self.choose()
        return store_of(self.catalog, self.folder)

    def add(self, count: int, root: int = 0, seed: int = 0) -> list[int]:
        names = [f"{self._number + number}.jpg" for number in range(count)]
        self._number += count
        return self.write(names, unit_vectors(count, seed + self._number), root)

    def write(self, names: list[str], vectors: NDArray[np.float32], root: int = 0) -> list[int]:
        with self.catalog.transaction() as change:
            change.set_encoder(EmbeddingSpace("test", DIM, "f" * 32))
            return change.add_files(change.add_root(ROOTS[root]).id, pictures(names), vectors)

    def remove(self, ids: list[int]) -> None:
        with self.catalog.transaction() as change:
            change.remove_files(self.catalog.file_ids_of(ids))

    def ids(self) -> Ids:
        return np.sort(self.catalog.vector_ids())

    def close(self) -> None:
        self.store.close()
        self.catalog.close()


def exact(catalog: Catalog, queries: NDArray[np.float32], k: int, allowed: Ids) -> list[list[int]]:
    """The k nearest of the allowed ids, by comparing with every vector of the catalogue."""
    held = catalog.vectors(allowed.tolist())
    ids = np.array(sorted(held), dtype=np.int64)
    if not len(ids):
        return [[] for _ in queries]
    vectors = np.array([held[id_] for id_ in ids.tolist()], dtype=np.float32)
    scores = queries @ vectors.T
    return [ids[np.argsort(-row, kind="stable")[:k]].tolist() for row in scores]


def recall(
    index: VectorIndex,
    catalog: Catalog,
    queries: NDArray[np.float32],
    k: int = 10,
    within: Ids | None = None,
    without: Ids | None = None,
) -> float:
    """The share of the exact answers that an index gives, which gives nothing else."""
    present = np.sort(catalog.vector_ids())
    allowed = present if within is None else np.intersect1d(present, within)
    if without is not None:
        allowed = np.setdiff1d(allowed, without)
    scores, found = index.search(queries, k, within=within, without=without)
    assert scores.shape == found.shape == (len(queries), k)
    wanted = exact(catalog, queries, k, allowed)
    hits = total = 0
    for answer, row, score in zip(wanted, found.tolist(), scores, strict=True):
        got = [id_ for id_ in row if id_ >= 0]
        assert len(got) == len(set(got)), "a picture is found twice"
        assert set(got) <= set(allowed.tolist()), "a picture is found that may not answer"
        assert (np.diff(score[: len(got)]) <= 1e-5).all(), "scores do not fall"
        assert np.isneginf(score[len(got) :]).all()
        hits += len(set(got) & set(answer))
        total += len(answer)
    return hits / total if total else 1.0
