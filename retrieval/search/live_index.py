"""What questions are asked of, as the catalogue stands now: vectors, and models of their space.

An indexer may add pictures meanwhile, or move the index to another model; the next question
sees it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TypeVar

from retrieval.encoders.base import Encoder, Preloadable
from retrieval.encoders.compact import CompactEncoder
from retrieval.index import Index
from retrieval.rerankers.registry import AUTO
from retrieval.search.relevance import RelevanceModel
from retrieval.search.rerank import RerankStage
from retrieval.vectors.base import Snapshot, VectorStore

T = TypeVar("T")


class LiveIndex:
    """An index that is asked, and what an engine asks it through. Thread-safe."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._reader = index.reader
        self._space = Space(index)
        self._left: list[Space] = []
        self._snapshot: Snapshot | None = None
        self._store: VectorStore | None = None
        self._lock = threading.Lock()
        # Not a daemon: cut off inside FAISS at the program's end, it would abort it.
        self._opening = threading.Thread(target=self._open_ahead, name="open-index")
        self._opening.start()

    @property
    def space(self) -> Space:
        """The space of the vectors as they were last seen."""
        return self._space

    def ask(self, encode: Callable[[Encoder], T]) -> tuple[Space, T, Snapshot]:
        """A question's encodings, and vectors of the same space to hold them against."""
        space = self._space
        encoded = encode(space.encoder)
        snapshot = self.snapshot()
        if self._space is not space:
            # The index has moved to another model meanwhile.
            space = self._space
            encoded = encode(space.encoder)
            snapshot = self.snapshot()
        return space, encoded, snapshot

    def snapshot(self) -> Snapshot:
        """The vector index as the catalogue stands now."""
        with self._lock:
            if self._snapshot is not None and self._snapshot.generation == self._reader.generation:
                return self._snapshot
            made_by = self._reader.encoder
            if made_by is not None and made_by != self._space.made_by:
                # Others may be in the middle of a question with the former one.
                self._left.append(self._space)
                self.index = self.index.rebound(made_by)
                self._space = Space(self.index)
                self._snapshot = None
            store = self.index.vectors
            if self._snapshot is None or store is not self._store:
                self._snapshot = store.load(self._reader)
                self._store = store
            else:
                self._snapshot = self._snapshot.caught_up(self._reader)
            return self._snapshot

    def close(self) -> None:
        """Let go of the index."""
        self._opening.join()
        with self._lock:
            for space in (self._space, *self._left):
                space.close()
        self.index.close()

    def _open_ahead(self) -> None:
        """Load what the first search needs. What goes wrong comes out there.

        Graphs first: they load without the GIL, while FAISS is imported, which holds it.
        """
        with suppress(Exception):
            for part in (self._space.encoder, self._space.rerank.reranker(AUTO)):
                if isinstance(part, Preloadable):
                    part.preload()
        with suppress(Exception):
            self.snapshot()


class Space:
    """What an engine asks through in one embedding space: its encoder, its rerankers, its judge."""

    def __init__(self, index: Index) -> None:
        self.made_by = index.encoder.space
        self._index = index
        self._lock = threading.Lock()
        self._rerank: RerankStage | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder; raises EncoderMismatchError where it is another than made the index."""
        return self._index.encoder.loaded

    @cached_property
    def relevance(self) -> RelevanceModel | None:
        """What says how likely answers fit; None for a model that was not calibrated."""
        encoder = self.encoder
        if not isinstance(encoder, CompactEncoder):
            return None
        return RelevanceModel.beside(encoder.model_dir, encoder.space.fingerprint)

    @property
    def rerank(self) -> RerankStage:
        """The rerankers and their tokens."""
        with self._lock:
            if self._rerank is None:
                fingerprint = self.made_by.fingerprint
                self._rerank = RerankStage(
                    self.encoder,
                    self._index.dir,
                    fingerprint,
                    self._index.server_tokens(fingerprint),
                )
            return self._rerank

    def close(self) -> None:
        """Let go of the tokens."""
        with self._lock:
            if self._rerank is not None:
                self._rerank.close()
