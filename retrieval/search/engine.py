"""The search engine: words or a picture in, ranked pictures out.

One way through: question → `Encoder` → `VectorIndex` (top n) → `Reranker` (top k) → `Hit`s.
It reads an index; the `indexer` package makes one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.arguments import (
    check_choice,
    check_count,
    check_min_score,
    check_query,
    check_rerank,
    check_texts,
    check_times,
)
from retrieval.catalog.records import Item
from retrieval.encoders.base import Encoder, Preloadable, TextEncoder, TextEncoding
from retrieval.errors import MmsearchError
from retrieval.index import Index
from retrieval.query.filters import Filter
from retrieval.query.negation import read_negation
from retrieval.query.query import Query
from retrieval.rerankers.base import RerankQuery
from retrieval.rerankers.registry import AUTO
from retrieval.search.compose import (
    FUSIONS,
    POOL,
    Fusion,
    average,
    push_back,
    reciprocal_ranks,
)
from retrieval.search.encode import QueryEncoder
from retrieval.search.hit import Hit
from retrieval.search.rerank import RerankStage
from retrieval.search.restrict import Restriction, as_filter
from retrieval.storage.closing import Closing
from retrieval.storage.index_dir import IndexDir
from retrieval.vectors.base import Ids
from retrieval.vectors.faiss.store import Snapshot

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.catalog import Catalog
    from retrieval.search.explain import Explanation

DEFAULT_CANDIDATES = 50


class SearchEngine(Closing):
    """Answers questions from an index. Searching is thread-safe.

    Pictures that an indexer adds meanwhile are found by the next search, without reopening.

    >>> with SearchEngine.open() as engine:
    ...     for hit in engine.search("a dog on a beach", k=10):
    ...         print(hit.score, hit.path)
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._reader = index.reader
        self._space = _Space(index)
        self._left: list[_Space] = []
        self._encode = QueryEncoder()
        self._process = os.getpid()
        self._snapshot: Snapshot | None = None
        self._snapshot_lock = threading.Lock()
        self._restrict = Restriction(index.reader)
        # Not a daemon: cut off inside FAISS at the program's end, it would abort it.
        self._opening = threading.Thread(target=self._open_ahead, name="open-index")
        self._opening.start()

    @classmethod
    def open(
        cls,
        index_dir: str | os.PathLike[str] | None = None,
        *,
        encoder: Encoder | None = None,
        text_encoder: TextEncoder | None = None,
    ) -> Self:
        """Open the index in `index_dir`, by default the user's own.

        `encoder` is for an encoder object of one's own; without it the one that made the index is
        loaded by its name. `text_encoder` is another text tower of the same space, through which
        questions in words go. Raises IndexMissingError where nothing is indexed yet,
        EncoderMismatchError where the encoder is not the one that made the index.
        """
        # Before the weights are read through for their fingerprint: the index opens meanwhile.
        engine = cls(Index.open(index_dir, encoder=encoder, text_encoder=text_encoder))
        try:
            _ = engine.encoder
        except BaseException:
            engine.close()
            raise
        return engine

    @property
    def catalog(self) -> Catalog:
        """What is indexed."""
        return self._reader.full

    @property
    def index(self) -> Index:
        """The index that is asked."""
        return self._index

    @property
    def encoder(self) -> Encoder:
        """The encoder that questions go through."""
        return self._space.encoder

    @property
    def location(self) -> IndexDir:
        """Where the index lies."""
        return self._index.dir

    def count_undated(self) -> int:
        """How many pictures have no known time, so that no condition on it finds them."""
        return self._reader.count_undated()

    def search(
        self,
        query: str | os.PathLike[str] | Image | Query,
        k: int = 10,
        *,
        within: str | os.PathLike[str] | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        filter: Filter | str | None = None,
        min_score: float | None = None,
        rerank: str = AUTO,
        candidates: int = DEFAULT_CANDIDATES,
        fusion: Fusion = "average",
    ) -> list[Hit]:
        """The k pictures that answer best, best first.

        `query` is words (a str), or a picture: a path (os.PathLike) or an open PIL image; or a
        `Query` of several of them, wanted and unwanted. Words that say what is not wanted, as
        "a beach without people", are understood so; `Query.of` takes them as they are. `fusion` of
        what is wanted: `average` finds pictures that show all of it, `rrf` any of it.
        `within` keeps to pictures below a folder, `after` and `before` to those taken at or after
        one time and before another, by the camera's clock; `filter` to those that fit a condition,
        as data or as text (`retrieval.query.parse`); `min_score` leaves out those whose
        similarity to the question, a cosine, is lower. `rerank` names what looks again at the best
        `candidates` of a question in words, see `retrieval.rerankers.registry`: `auto` takes what
        the index can do at once, `off` keeps the first stage's order.

        Raises UnknownModelError where there is no such reranker, ImageError where the picture that
        is asked with cannot be read, MmsearchError where `within` holds nothing that is indexed,
        QueryError where the text of a filter makes no sense, TypeError or ValueError for arguments
        that make no sense.
        """
        asked = as_query(query)
        self._check(k, after, before, min_score, rerank, candidates)
        check_choice("fusion", fusion, FUSIONS)
        only = self._restrict(within, after, before, _both(filter, asked.filter))
        return self._answer(asked, k, only, min_score, rerank, candidates, fusion)

    def browse(self, filter: Filter | str, k: int = 10, *, offset: int = 0) -> list[Hit]:
        """The pictures that fit a condition, the newest first and undated ones last.

        Nothing is asked of them, so that score and similarity are 0. Raises QueryError where the
        text of a filter makes no sense.
        """
        self._check_process()
        check_count("k", k)
        ids = self._restrict.ids(as_filter(filter))
        items = self._reader.newest(ids, k, offset)
        return [
            _hit(offset + rank, item, 0.0, 0.0, None, None)
            for rank, item in enumerate(items, start=1)
        ]

    def search_many(
        self,
        texts: Sequence[str | Query],
        k: int = 10,
        *,
        within: str | os.PathLike[str] | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        filter: Filter | str | None = None,
        min_score: float | None = None,
        rerank: str = AUTO,
        candidates: int = DEFAULT_CANDIDATES,
    ) -> list[list[Hit]]:
        """Answers to many questions, the very ones that `search` gives.

        Raises what `search` raises.
        """
        if isinstance(texts, str):
            check_texts(texts)
        questions = [as_query(text) for text in texts]
        self._check(k, after, before, min_score, rerank, candidates)
        # One by one: in a batch, rounding depends on the neighbours, and near ties change places.
        return [
            self._answer(
                asked,
                k,
                self._restrict(within, after, before, _both(filter, asked.filter)),
                min_score,
                rerank,
                candidates,
            )
            for asked in questions
        ]

    def explain(self, hit: Hit) -> Explanation | None:
        """Where in a hit's picture each word of its question looked.

        None where that is not known: the question was a picture, the picture's tokens are
        missing, or the index's model has no reranker that shows its attention.
        """
        return self.explain_many([hit])[0]

    def explain_many(self, hits: Sequence[Hit]) -> list[Explanation | None]:
        """`explain` for many hits, quicker than one by one."""
        self._check_process()
        found: list[Explanation | None] = [None] * len(hits)
        rows = self._reader.items([hit.item_id for hit in hits])
        # By the reranker that ranked them, so that the explanation is of that score.
        asked = {(hit.question, hit.reranker) for hit in hits if hit.question is not None}
        for text, reranker in asked:
            mine = [
                place
                for place, hit in enumerate(hits)
                if (hit.question, hit.reranker) == (text, reranker) and hit.item_id in rows
            ]
            space = self._space
            explained = space.rerank.explain(
                RerankQuery(text, space.encoder.encode_texts([text])),
                [rows[hits[place].item_id] for place in mine],
                [hits[place].similarity for place in mine],
                reranker or AUTO,
            )
            for place, explanation in zip(mine, explained, strict=True):
                found[place] = explanation
        return found

    def close(self) -> None:
        """Let go of the index."""
        self._opening.join()
        self._encode.close()
        with self._snapshot_lock:
            for space in (self._space, *self._left):
                space.close()
        self._index.close()

    # -- inside -------------------------------------------------------------------------------

    def _ask(self, query: Query) -> tuple[_Space, _Encoded, Snapshot]:
        """A question's encodings, and vectors of the same space to hold them against."""
        space = self._space
        encoded = self._encode.encode(query, space.encoder)
        snapshot = self._present()
        if self._space is not space:
            # The index has moved to another model meanwhile.
            space = self._space
            encoded = self._encode.encode(query, space.encoder)
            snapshot = self._present()
        return space, encoded, snapshot

    def _check(
        self,
        k: int,
        after: datetime | None,
        before: datetime | None,
        min_score: float | None,
        rerank: str,
        candidates: int,
    ) -> None:
        self._check_process()
        check_count("k", k)
        check_count("candidates", candidates)
        check_times(after, before)
        check_min_score(min_score)
        check_rerank(rerank)

    def _check_process(self) -> None:
        """Raise MmsearchError in a process that was forked after the engine was opened.

        Neither the threads of the model's run time nor the database's connection live on in a
        child process: it would wait for ever.
        """
        if os.getpid() != self._process:
            raise MmsearchError(
                "This search engine was opened before the process forked: open another with "
                "SearchEngine.open() in each process."
            )

    def _answer(
        self,
        query: Query,
        k: int,
        only: Ids | None,
        min_score: float | None,
        rerank: str,
        candidates: int,
        fusion: Fusion = "average",
    ) -> list[Hit]:
        """Both stages for one question."""
        space, (wanted, unwanted), snapshot = self._ask(query)
        # One text is looked at again; several have no score together.
        text = query.wanted[0].words if len(query.wanted) == 1 else None
        reranker = None if text is None else space.rerank.reranker(rerank)
        n = k if reranker is None else max(k, candidates)
        images, first = self._candidates(query, wanted, snapshot, n, only, min_score, fusion)
        pushed = self._pushed_back(query, images, unwanted)
        order = np.argsort(pushed - np.asarray(first), kind="stable")
        images, first = [images[i] for i in order], [first[i] for i in order]
        pushed = pushed[order]
        scores = np.asarray(first, dtype=np.float64) - pushed
        if reranker is not None and text is not None and images:
            looked = space.rerank.rescore(
                reranker, RerankQuery(text, wanted[0]), images[:candidates], first[:candidates]
            )
            scores = rank_above_rest(looked - pushed[:candidates], scores[candidates:])
        best = np.argsort(-scores, kind="stable")[:k]
        ranked_by = None if reranker is None else rerank
        return [
            _hit(rank, images[i], float(scores[i]), first[i], query.words, ranked_by)
            for rank, i in enumerate(best.tolist(), start=1)
        ]

    def _candidates(
        self,
        query: Query,
        wanted: list[TextEncoding],
        snapshot: Snapshot,
        n: int,
        only: Ids | None,
        min_score: float | None,
        fusion: Fusion,
    ) -> tuple[list[Item], list[float]]:
        """The pictures that show most of what is wanted, and how much."""
        n = n if query.is_plain else max(n, POOL)
        weights = [term.weight for term in query.wanted]
        vectors = np.concatenate([encoding.vectors for encoding in wanted])
        if fusion == "rrf" and len(wanted) > 1:
            _, found = snapshot.index.search(vectors, n, within=only)
            rankings = [[id_ for id_ in row if id_ >= 0] for row in found.tolist()]
            fused = reciprocal_ranks(rankings, weights)
            ids = np.array(sorted(fused, key=fused.__getitem__, reverse=True), dtype=np.int64)
            scores = np.array([fused[id_] for id_ in ids.tolist()], dtype=np.float32)
        else:
            question = vectors if len(wanted) == 1 else average(vectors, weights)
            similarities, found = snapshot.index.search(question, n, within=only)
            ids, scores = found[0], similarities[0]
        return self._found(scores, ids, min_score)

    def _pushed_back(
        self, query: Query, images: list[Item], unwanted: list[TextEncoding]
    ) -> NDArray[np.float64]:
        """What is taken from each picture's score for showing what is not wanted."""
        if not unwanted:
            return np.zeros(len(images))
        stored = self._reader.vectors([image.id for image in images])
        dim = unwanted[0].vectors.shape[1]
        # One that was removed meanwhile shows nothing.
        shown = [stored.get(image.id, np.zeros(dim, np.float16)) for image in images]
        return push_back(
            np.array(shown, dtype=np.float32).reshape(len(images), dim),
            np.concatenate([encoding.vectors for encoding in unwanted]),
            [term.weight for term in query.unwanted],
        )

    def _found(
        self, similarities: NDArray[np.float32], ids: Ids, min_score: float | None
    ) -> tuple[list[Item], list[float]]:
        """The first stage's pictures that are still there, and their similarities."""
        rows = self._reader.items([int(id_) for id_ in ids if id_ >= 0])
        pairs = [
            (rows[item_id], similarity)
            for similarity, item_id in zip(similarities.tolist(), ids.tolist(), strict=True)
            # A picture may have been removed between the two look-ups.
            if item_id in rows and (min_score is None or similarity >= min_score)
        ]
        return [row for row, _ in pairs], [similarity for _, similarity in pairs]

    def _open_ahead(self) -> None:
        """Load what the first search needs. What goes wrong comes out there.

        Graphs first: they load without the GIL, while FAISS is imported, which holds it.
        """
        with suppress(Exception):
            for part in (self._space.encoder, self._space.rerank.reranker(AUTO)):
                if isinstance(part, Preloadable):
                    part.preload()
        with suppress(Exception):
            self._present()

    def _present(self) -> Snapshot:
        """The vector index as the catalogue stands now."""
        with self._snapshot_lock:
            if self._snapshot is not None and self._snapshot.generation == self._reader.generation:
                return self._snapshot
            made_by = self._reader.encoder
            if made_by is not None and made_by != self._space.made_by:
                # Others may be in the middle of a question with the former one.
                self._left.append(self._space)
                self._index = self._index.rebound(made_by)
                self._space = _Space(self._index)
                self._snapshot = None
            if self._snapshot is None:
                self._snapshot = self._index.vectors.load(self._reader)
            else:
                self._snapshot = self._snapshot.caught_up(self._reader)
            return self._snapshot


_Encoded = tuple[list[TextEncoding], list[TextEncoding]]


class _Space:
    """What an engine asks through in one embedding space: its encoder and its rerankers."""

    def __init__(self, index: Index) -> None:
        self.made_by = index.encoder.space
        self._index = index
        self._lock = threading.Lock()
        self._rerank: RerankStage | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder; raises EncoderMismatchError where it is another than made the index."""
        return self._index.encoder.loaded

    @property
    def rerank(self) -> RerankStage:
        """The rerankers and their tokens."""
        with self._lock:
            if self._rerank is None:
                self._rerank = RerankStage(self.encoder, self._index.dir, self.made_by.fingerprint)
            return self._rerank

    def close(self) -> None:
        """Let go of the tokens."""
        with self._lock:
            if self._rerank is not None:
                self._rerank.close()


def as_query(query: object) -> Query:
    """What is asked, as data. Raises TypeError or ValueError for what is no question."""
    if isinstance(query, Query):
        return query
    check_query(query)
    return read_negation(query) if isinstance(query, str) else Query.of(query)  # type: ignore[arg-type]


def _both(first: Filter | str | None, second: Filter | None) -> Filter | None:
    """A filter that both fit."""
    if first is None or second is None:
        return second if first is None else as_filter(first)
    return as_filter(first) & second


def rank_above_rest(looked: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of the candidates, then those of the rest, moved below the worst candidate's.

    A fused score is no cosine, so that the two do not compare as they are. The rest keep their
    order and their distances.
    """
    if not len(rest) or not len(looked):
        return np.concatenate([looked, rest])
    return np.concatenate([looked, rest - max(0.0, rest.max() - looked.min())])


def _hit(
    rank: int,
    image: Item,
    score: float,
    similarity: float,
    text: str | None,
    reranker: str | None,
) -> Hit:
    return Hit(
        rank=rank,
        score=score,
        path=image.path,
        item_id=image.id,
        similarity=similarity,
        width_px=image.width_px,
        height_px=image.height_px,
        question=text,
        metadata=image.metadata,
        time_ms=image.time_ms,
        reranker=reranker,
    )
