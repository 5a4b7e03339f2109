"""Nearest neighbours with FAISS, kept under the pictures' own ids.

This module knows FAISS and nothing of the catalogue; `retrieval.vectors.store` keeps an index
on disk in step with it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Ids

if TYPE_CHECKING:
    import faiss

# Exact search over float16 codes: the cosine is off by less than 0.001 from float32.
EXACT = "SQfp16"
_KMEANS_ROUNDS = 10
_KMEANS_POINTS_A_LIST = 64


class FaissIndex:
    """A FAISS index by inner product whose entries carry picture ids (a `VectorIndex`).

    `EXACT` compares a question with every vector; an inverted file, `IVFn,SQ8`, only with those
    of the `probes` lists whose centroids are nearest to it (Jégou et al., Product quantization
    for nearest neighbor search, PAMI 2011).
    """

    def __init__(self, index: faiss.Index, kind: str, probes: int = 0) -> None:
        self._index = index
        self._kind = kind
        self.probes = probes

    @classmethod
    def empty(cls, dim: int) -> Self:
        """An exact index of vectors of `dim` dimensions that holds nothing yet."""
        import faiss

        flat = faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        return cls(faiss.IndexIDMap(flat), EXACT)

    @classmethod
    def trained(cls, kind: str, sample: Vectors, probes: int) -> Self:
        """An empty inverted file whose lists were learnt from a sample, (n, dim)."""
        import faiss

        index = faiss.index_factory(sample.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        clustering = faiss.extract_index_ivf(index).cp
        clustering.niter = _KMEANS_ROUNDS
        clustering.max_points_per_centroid = _KMEANS_POINTS_A_LIST
        index.train(np.ascontiguousarray(sample, dtype=np.float32))
        return cls(index, kind, probes)

    @classmethod
    def read(cls, path: Path, kind: str, probes: int = 0) -> Self:
        """Read an index file into memory, to be changed.

        Raises RuntimeError where FAISS cannot make sense of the file.
        """
        import faiss

        return cls(faiss.read_index(os.fspath(path)), kind, probes)

    @classmethod
    def map(cls, path: Path, kind: str, probes: int = 0) -> Self:
        """Map an index file into memory for searching only: opening costs no time.

        Nothing may be added to it or removed from it (FAISS would abort the process).
        Raises RuntimeError where FAISS cannot make sense of the file.
        """
        import faiss

        return cls(faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC), kind, probes)

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self._index.d)

    @property
    def kind(self) -> str:
        """How it searches, in the words of a FAISS factory string."""
        return self._kind

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> Ids:
        """The ids that it holds, int64 (n,), in no order."""
        import faiss

        if self._kind == EXACT:
            return faiss.vector_to_array(self._index.id_map).astype(np.int64)  # type: ignore[no-any-return]
        lists = faiss.extract_index_ivf(self._index).invlists
        found = [
            faiss.rev_swig_ptr(lists.get_ids(place), lists.list_size(place)).copy()
            for place in range(lists.nlist)
            if lists.list_size(place)
        ]
        return np.concatenate([np.empty(0, np.int64), *found])

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors, (n, dim), under ids, int64 (n,), that it does not hold yet."""
        if len(ids):
            self._index.add_with_ids(
                np.ascontiguousarray(vectors, dtype=np.float32),
                np.ascontiguousarray(ids, dtype=np.int64),
            )

    def remove(self, ids: Ids) -> int:
        """Drop these ids; returns how many it held."""
        if not len(ids) or not len(self):
            return 0
        import faiss

        selector = faiss.IDSelectorBatch(np.ascontiguousarray(ids, dtype=np.int64))
        return int(self._index.remove_ids(selector))

    def vectors_of(self, ids: Ids) -> tuple[Ids, NDArray[np.float16]]:
        """Those of the ids that it holds, ascending, with their vectors (n, dim); `EXACT` only."""
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
        """The k nearest of each query, (q, dim); see `VectorIndex.search`."""
        if within is not None and without is not None:
            within, without = np.setdiff1d(within, without), None
        wanted = min(k, len(self) if within is None else min(len(self), len(within)))
        if wanted == 0:
            return (
                np.full((len(queries), k), -np.inf, dtype=np.float32),
                np.full((len(queries), k), -1, dtype=np.int64),
            )
        scores, ids = self._index.search(
            np.ascontiguousarray(queries, dtype=np.float32),
            wanted,
            params=self._parameters(within, without),
        )
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

    def _parameters(self, within: Ids | None, without: Ids | None) -> faiss.SearchParameters | None:
        import faiss

        selector = None
        if within is not None:
            selector = _bitmap(within)
        elif without is not None and len(without):
            selector = faiss.IDSelectorNot(_bitmap(without))
        if not self.probes:
            return None if selector is None else faiss.SearchParameters(sel=selector)
        probes = self.probes
        if within is not None:
            # Few of a list's vectors count, so more lists are needed for as many candidates.
            lists = faiss.extract_index_ivf(self._index).nlist
            probes = min(lists, math.ceil(probes * len(self) / max(1, len(within))))
        return faiss.SearchParametersIVF(nprobe=probes, sel=selector)


def _bitmap(ids: Ids) -> faiss.IDSelector:
    """Ids as one bit each, FAISS's quickest test; ids are row numbers, so the bits are few."""
    import faiss

    bits = np.zeros(int(ids.max(initial=0)) // 8 + 1, dtype=np.uint8)
    np.bitwise_or.at(bits, ids >> 3, (1 << (ids & 7)).astype(np.uint8))
    return faiss.IDSelectorBitmap(bits)


def _padded(found: NDArray[Any], k: int, filler: float) -> NDArray[Any]:
    missing = k - found.shape[1]
    return np.pad(found, ((0, 0), (0, missing)), constant_values=filler) if missing else found
