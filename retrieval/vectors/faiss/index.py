"""Nearest neighbours with FAISS, kept under the pictures' own ids.

This module knows FAISS and nothing of the catalogue; `retrieval.vectors.faiss.store` keeps an index
on disk in step with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Ids
from retrieval.vectors.faiss.kinds import (
    FLAT_HALVES,
    HNSW,
    INVERTED,
    RABITQ,
    count_lists,
    family_of,
)

if TYPE_CHECKING:
    import faiss

_KMEANS_ROUNDS = 10
_KMEANS_POINTS_A_LIST = 64
_LARGEST_BEAM = 4096
# The label of a vector that was removed from a graph, which cannot do without its node.
_REMOVED = -1
_ANY_ID = 2**62
# So many vectors are compared one by one in a few milliseconds.
_SCANNED_WHOLE = 50_000
# From 20 on FAISS compares questions with centroids by BLAS, which rounds by what else is asked.
_QUESTIONS_AT_ONCE = 16


@dataclass(eq=False)
class _Restriction:
    """Ids that a search is kept to, and what that means for the index.

    `met`: how many of them lie in each inverted list, None until that is asked.
    """

    within: Ids
    selector: faiss.IDSelector
    met: NDArray[np.int64] | None = None


class FaissIndex:
    """A FAISS index by inner product whose entries carry picture ids (a `VectorIndex`).

    `SQfp16` and `SQ8` compare a question with every vector. An inverted file, `IVFn,SQ8`, only
    with those of the lists whose centroids are nearest to it (Jégou et al., Product quantization
    for nearest neighbor search, PAMI 2011); `HNSW32,SQ8` with those that it meets on its way
    through a graph (Malkov and Yashunin, Efficient and robust approximate nearest neighbor search
    using hierarchical navigable small world graphs, PAMI 2018). `IVFn,RaBitQ` keeps of each number
    little more than on which side of its centroid's it lies (Gao and Long, RaBitQ: quantizing
    high-dimensional vectors with a theoretical error bound, SIGMOD 2024), enough for candidates
    that `RefinedIndex` chooses among. `effort` is how many lists it looks into, or how many
    candidates it keeps on its way; 0 where it looks at everything.
    """

    def __init__(self, index: faiss.Index, kind: str, effort: int = 0) -> None:
        self._index = index
        self._kind = kind
        self._family = family_of(kind)
        self.effort = effort
        self._removed = int((self._labels() == _REMOVED).sum()) if self._family == HNSW else 0
        self._latest: _Restriction | None = None

    @classmethod
    def empty(cls, dim: int) -> Self:
        """An exact index of vectors of `dim` dimensions that holds nothing yet."""
        import faiss

        flat = faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        return cls(faiss.IndexIDMap(flat), FLAT_HALVES)

    @classmethod
    def trained(cls, kind: str, sample: Vectors) -> Self:
        """An empty index of a kind that learns its codes and lists from a sample, (n, dim)."""
        import faiss

        family = family_of(kind)
        factory = kind if family in INVERTED else f"IDMap,{kind.replace(',', '_')}"
        index = faiss.index_factory(sample.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if family in INVERTED:
            clustering = faiss.extract_index_ivf(index).cp
            clustering.niter = _KMEANS_ROUNDS
            clustering.max_points_per_centroid = _KMEANS_POINTS_A_LIST
        index.train(np.ascontiguousarray(sample, dtype=np.float32))
        return cls(index, kind)

    @classmethod
    def read(cls, path: Path, kind: str, effort: int = 0) -> Self:
        """Read an index file into memory, to be changed.

        Raises RuntimeError where FAISS cannot make sense of the file.
        """
        import faiss

        return cls(faiss.read_index(os.fspath(path)), kind, effort)

    @classmethod
    def map(cls, path: Path, kind: str, effort: int = 0) -> Self:
        """Map an index file into memory for searching only: opening costs no time.

        Nothing may be added to it or removed from it (FAISS would abort the process).
        Raises RuntimeError where FAISS cannot make sense of the file.
        """
        import faiss

        return cls(faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC), kind, effort)

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self._index.d)

    @property
    def kind(self) -> str:
        """How it searches, in the words of a FAISS factory string."""
        return self._kind

    @property
    def largest_effort(self) -> int:
        """Beyond this, `effort` finds no more."""
        if self._family in INVERTED:
            return count_lists(self._kind)
        return _LARGEST_BEAM if self._family == HNSW else 0

    @property
    def removed_share(self) -> float:
        """Share of the entries that are of removed vectors and only cost time, from 0 to 1."""
        return self._removed / max(1, int(self._index.ntotal))

    def __len__(self) -> int:
        return int(self._index.ntotal) - self._removed

    def ids(self) -> Ids:
        """The ids that it holds, int64 (n,), in no order."""
        import faiss

        if self._family not in INVERTED:
            labels = self._labels()
            kept: Ids = labels[labels != _REMOVED]
            return kept
        lists = faiss_ivf(self._index).invlists
        found = [
            faiss.rev_swig_ptr(lists.get_ids(place), lists.list_size(place)).copy()
            for place in range(lists.nlist)
            if lists.list_size(place)
        ]
        return np.concatenate([np.empty(0, np.int64), *found])

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors, (n, dim), under ids, int64 (n,), that it does not hold yet."""
        self._forget_places()
        if len(ids):
            self._index.add_with_ids(
                np.ascontiguousarray(vectors, dtype=np.float32),
                np.ascontiguousarray(ids, dtype=np.int64),
            )

    def remove(self, ids: Ids) -> int:
        """Drop these ids; returns how many it held."""
        self._forget_places()
        if not len(ids) or not len(self):
            return 0
        if self._family == HNSW:
            labels = self._labels()
            places = np.flatnonzero(np.isin(labels, ids) & (labels != _REMOVED))
            labels[places] = _REMOVED
            self._removed += len(places)
            return len(places)
        import faiss

        selector = faiss.IDSelectorBatch(np.ascontiguousarray(ids, dtype=np.int64))
        return int(self._index.remove_ids(selector))

    def vectors_of(self, ids: Ids) -> tuple[Ids, NDArray[np.float16]]:
        """Those of the ids that it holds, ascending, with their vectors (n, dim); `SQfp16` only."""
        import faiss

        held = faiss.vector_to_array(self._index.id_map)
        places = np.flatnonzero(np.isin(held, ids))
        places = places[np.argsort(held[places])]
        inner = faiss.downcast_index(self._index.index)
        vectors = np.empty((len(places), self.dim), dtype=np.float16)
        for row, place in enumerate(places.tolist()):
            vectors[row] = inner.reconstruct(place)
        return held[places].astype(np.int64), vectors

    def search(
        self, queries: Vectors, k: int, *, within: Ids | None = None, without: Ids | None = None
    ) -> tuple[Vectors, Ids]:
        """The k nearest of each query, (q, dim); see `VectorIndex.search`.

        Among a few, `within`, every one of them is compared with the question: where an index
        looks first there may be none, since a folder's pictures may all lie far from a question.
        Among many, an inverted file looks into the nearest lists until it has met as many of them
        as it would meet vectors without the restriction.
        """
        if within is not None and without is not None:
            within, without = within[~np.isin(within, without, assume_unique=True)], None
        wanted = min(k, len(self) if within is None else min(len(self), len(within)))
        if wanted == 0:
            return (
                np.full((len(queries), k), -np.inf, dtype=np.float32),
                np.full((len(queries), k), -1, dtype=np.int64),
            )
        asked = np.ascontiguousarray(queries, dtype=np.float32)
        selector = self._selector(within, without)
        is_among_many = (
            within is not None and self._family in INVERTED and len(within) > _SCANNED_WHOLE
        )
        # How far to look among many is each question's own.
        size = 1 if is_among_many else _QUESTIONS_AT_ONCE
        found = [
            self._search_some(asked[start : start + size], wanted, selector, within)
            for start in range(0, max(1, len(asked)), size)
        ]
        scores = np.concatenate([some for some, _ in found])
        ids = np.concatenate([some for _, some in found])
        scores[ids < 0] = -np.inf
        return _padded(scores, k, -np.inf), _padded(ids, k, -1)

    def save(self, path: Path) -> None:
        """Write it to a file. The caller sees to it that a crash leaves no half file in place.

        Raises OSError where the disk does not take all of it.
        """
        import faiss

        # Through Python's file: FAISS's own says nothing when its last bytes find no space.
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    def _search_some(
        self, queries: Vectors, k: int, selector: faiss.IDSelector | None, within: Ids | None
    ) -> tuple[Vectors, Ids]:
        if within is None or not self.effort:
            return self._look(queries, k, selector, self.effort)
        if self._family in INVERTED and len(within) > _SCANNED_WHOLE:
            return self._look(queries, k, selector, self._effort_among(queries, within))
        return self._scan(queries, k, selector)

    def _look(
        self, queries: Vectors, k: int, selector: faiss.IDSelector | None, effort: int
    ) -> tuple[Vectors, Ids]:
        """Search with so much effort."""
        import faiss

        if self._family in INVERTED:
            parameters = faiss.SearchParametersIVF(nprobe=effort, sel=selector)
            if self._family == RABITQ:
                parameters = faiss.SearchParametersPreTransform(index_params=parameters)
        elif self._family == HNSW:
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, k), sel=selector)
        else:
            parameters = None if selector is None else faiss.SearchParameters(sel=selector)
        scores, ids = self._index.search(queries, k, params=parameters)
        return scores, ids

    def _scan(self, queries: Vectors, k: int, selector: faiss.IDSelector) -> tuple[Vectors, Ids]:
        """Compare with every vector that the selector lets through."""
        import faiss

        if self._family in INVERTED:
            return self._look(queries, k, selector, self.largest_effort)
        # The graph's vectors lie in a flat index of their own, by place and not by id.
        flat = faiss.downcast_index(faiss.downcast_index(self._index.index).storage)
        places = faiss.IDSelectorTranslated(self._index.id_map, selector)
        scores, found = flat.search(queries, k, params=faiss.SearchParameters(sel=places))
        return scores, np.where(found < 0, -1, self._labels()[found])

    def _effort_among(self, queries: Vectors, within: Ids) -> int:
        """How many lists to look into so that enough of these ids are met, for every question."""
        inverted = faiss_ivf(self._index)
        restriction = self._restricted_to(within)
        met = restriction.met
        if met is None:
            held = within[within < len(self._list_of_id)]
            lists = self._list_of_id[held]
            met = restriction.met = np.bincount(lists[lists >= 0], minlength=inverted.nlist)
        _, nearest = inverted.quantizer.search(self._turned(queries), inverted.nlist)
        target = self.effort * len(self) / inverted.nlist
        reached = np.cumsum(met[nearest], axis=1) >= min(target, met.sum())
        return int(reached.argmax(axis=1).max()) + 1

    def _restricted_to(self, within: Ids) -> _Restriction:
        """What is known of a restriction; the latest is kept, since a filter is asked on and on."""
        latest = self._latest
        if latest is None or latest.within is not within:
            latest = self._latest = _Restriction(within, _bitmap(within))
        return latest

    def _forget_places(self) -> None:
        """What was worked out of where ids lie holds no more."""
        self.__dict__.pop("_list_of_id", None)
        self._latest = None

    def _turned(self, queries: Vectors) -> Vectors:
        """Queries as the lists' centroids lie, which a transform may stand before."""
        import faiss

        if self._family != RABITQ:
            return queries
        turned: Vectors = faiss.downcast_VectorTransform(self._index.chain.at(0)).apply(queries)
        return turned

    @cached_property
    def _list_of_id(self) -> NDArray[np.int32]:
        """The inverted list that each id lies in, -1 for ids that it does not hold."""
        import faiss

        lists = faiss_ivf(self._index).invlists
        found = [
            (place, faiss.rev_swig_ptr(lists.get_ids(place), lists.list_size(place)))
            for place in range(lists.nlist)
            if lists.list_size(place)
        ]
        highest = max((int(ids.max()) for _, ids in found), default=-1)
        list_of = np.full(highest + 1, -1, dtype=np.int32)
        for place, ids in found:
            list_of[ids] = place
        return list_of

    def _selector(self, within: Ids | None, without: Ids | None) -> faiss.IDSelector | None:
        import faiss

        if within is not None:
            return self._restricted_to(within).selector
        hidden = faiss.IDSelectorNot(_bitmap(without)) if without is not None else None
        if not self._removed:
            return hidden
        present = faiss.IDSelectorRange(0, _ANY_ID)
        return present if hidden is None else faiss.IDSelectorAnd(present, hidden)

    def _labels(self) -> Ids:
        """The ids by place, int64 (n,), as they lie in FAISS's memory."""
        import faiss

        labels: Ids = faiss.rev_swig_ptr(self._index.id_map.data(), self._index.id_map.size())
        return labels


def _bitmap(ids: Ids) -> faiss.IDSelector:
    """Ids as one bit each, FAISS's quickest test; ids are row numbers, so the bits are few."""
    import faiss

    is_in = np.zeros(int(ids.max(initial=0)) + 1, dtype=bool)
    is_in[ids] = True
    return faiss.IDSelectorBitmap(np.packbits(is_in, bitorder="little"))


def faiss_ivf(index: faiss.Index) -> faiss.IndexIVF:
    """The inverted file inside of an index."""
    import faiss

    return faiss.extract_index_ivf(index)


def _padded(found: NDArray[Any], k: int, filler: float) -> NDArray[Any]:
    missing = k - found.shape[1]
    return np.pad(found, ((0, 0), (0, missing)), constant_values=filler) if missing else found
