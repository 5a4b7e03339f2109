"""The search engine: words or a picture in, ranked pictures out.

One way through: question → `Encoder` → `VectorIndex` (top n), joined by what `words` finds →
`Reranker` (top k) → `Hit`s; its stages are in `answer`. It reads an index; the `indexer` package
makes one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, Unpack

from retrieval.arguments import (
    check_choice,
    check_count,
    check_min_score,
    check_offset,
    check_query,
    check_rerank,
    check_texts,
    check_times,
)
from retrieval.catalog.moments import moments_beside
from retrieval.encoders.base import Encoder, TextEncoder, Vectors
from retrieval.errors import MmsearchError
from retrieval.index import Index
from retrieval.query.filters import Filter
from retrieval.query.query import Query
from retrieval.query.sequence import read_question
from retrieval.rerankers.base import RerankQuery
from retrieval.rerankers.registry import AUTO
from retrieval.search.answer import answer, as_hit
from retrieval.search.compose import FUSIONS, Fusion
from retrieval.search.diversify import DEFAULT_BALANCE
from retrieval.search.embed import indexed_vectors, item_of, texts_embedded
from retrieval.search.encode import QueryEncoder
from retrieval.search.feedback import Feedback, Marks, key_of
from retrieval.search.hit import Hit, Hits
from retrieval.search.live_index import LiveIndex
from retrieval.search.pages import paged
from retrieval.search.question import (
    DEFAULT_CANDIDATES,
    MATCHES,
    Match,
    Question,
    SearchOptions,
)
from retrieval.search.restrict import Restriction, as_filter
from retrieval.storage.closing import Closing
from retrieval.storage.index_dir import IndexDir

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.answering.base import Answer, Answerer
    from retrieval.catalog import Catalog
    from retrieval.encoders.base import ImageEncoding
    from retrieval.organise.duplicates import Duplicates, Progress
    from retrieval.query.query import Askable
    from retrieval.search.ask import Answered, Asker
    from retrieval.search.explain import Explanation
    from retrieval.search.similar import Picture
    from retrieval.search.themes import Theme
    from retrieval.vectors.base import Ids


class SearchEngine(Closing):
    """Answers questions from an index. Searching is thread-safe.

    Pictures that an indexer adds meanwhile are found by the next search, without reopening.

    Example:
        >>> with SearchEngine.open() as engine:
        ...     for hit in engine.search("a dog on a beach", k=10):
        ...         print(hit.score, hit.path)
    """

    def __init__(self, index: Index) -> None:
        self._reader = index.reader
        self._live = LiveIndex(index)
        self._encode = QueryEncoder()
        self._restrict = Restriction(index.reader)
        self._process = os.getpid()

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
        return self._live.index

    @property
    def encoder(self) -> Encoder:
        """The encoder that questions go through."""
        return self._live.space.encoder

    @property
    def location(self) -> IndexDir:
        """Where the index lies."""
        return self._live.index.dir

    def count_undated(self) -> int:
        """How many pictures have no known time, so that no condition on it finds them."""
        return self._reader.count_undated()

    def search(
        self,
        query: Askable | Query,
        k: int = 10,
        *,
        offset: int = 0,
        within: str | os.PathLike[str] | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        filter: Filter | str | None = None,
        min_score: float | None = None,
        rerank: str = AUTO,
        candidates: int = DEFAULT_CANDIDATES,
        fusion: Fusion = "average",
        relevant: bool = False,
        diverse: bool | float = False,
        fold: bool = False,
        match: Match = "both",
        feedback: Feedback | Literal["kept"] | None = "kept",
    ) -> Hits:
        """The k pictures that answer best, best first; those after the first `offset` ones.

        `query` is words (a str), or a picture: a path (os.PathLike) or an open PIL image; or a
        vector, (dim,), as `embed_texts` and its like give; or a `Query` of several of them, wanted
        and unwanted. Words that say what is not wanted, as
        "a beach without people", are understood so, and words that say what comes first and what
        then, as "a dog runs, then jumps into water": of these the answers are videos, each the
        moment of the first with the others in `Hit.like`. `Query.of` takes words as they are.
        `fusion` of what is wanted: `average` finds pictures that show all of it, `rrf` any of it.
        `match` says what is held against the words: the pictures, the words of their names,
        folders, titles, captions and keywords, or both.
        `within` keeps to pictures below a folder, `after` and `before` to those taken at or after
        one time and before another, by the camera's clock; `filter` to those that fit a condition,
        as data or as text (`retrieval.query.parse`); `min_score` leaves out those whose
        similarity to the question, a cosine, is lower, what their words add included. `rerank`
        names what looks again at the best `candidates` of a question in words, see
        `retrieval.rerankers.registry`: `auto` takes what the index can do at once, `off` keeps the
        first stage's order. `relevant` leaves out what does not fit well, so that a question that
        nothing answers has no answers. `diverse` chooses answers that also differ from one
        another; as a number, how much their scores count, from 0 to 1. `fold` puts copies and
        pictures of one burst into `Hit.like` of the best of them, and counts them as one.
        `feedback` moves the question to pictures that are marked as right and away from wrong ones,
        which are left out: `kept`, those that are kept in the index for a question in these words;
        None, none.

        Raises UnknownModelError where there is no such reranker, ImageError where the picture that
        is asked with cannot be read, MmsearchError where `within` holds nothing that is indexed,
        QueryError where the text of a filter makes no sense, RelevanceUnknownError where
        `relevant` is asked of what cannot be judged, TypeError or ValueError for arguments that
        make no sense.
        """
        return self.search_many(
            [as_query(query)],
            k,
            offset=offset,
            within=within,
            after=after,
            before=before,
            filter=filter,
            min_score=min_score,
            rerank=rerank,
            candidates=candidates,
            fusion=fusion,
            relevant=relevant,
            diverse=diverse,
            fold=fold,
            match=match,
            feedback=feedback,
        )[0]

    def search_many(
        self,
        queries: Sequence[str | Query],
        k: int = 10,
        *,
        offset: int = 0,
        **options: Unpack[SearchOptions],
    ) -> list[Hits]:
        """Answers to many questions, the very ones that `search` gives, in less time.

        The options are those of `search`, and hold for each. Raises what `search` raises.
        """
        self._check_process()
        if isinstance(queries, str):
            check_texts(queries)
        asked = [as_query(query) for query in queries]
        check_count("k", k)
        check_offset(offset)
        questions = [self._question(query, k, offset, **options) for query in asked]
        return answer(questions, self._live, self._encode, self._reader)

    def iter_hits(
        self, query: Askable | Query, *, page: int = 100, **options: Unpack[SearchOptions]
    ) -> Iterator[Hit]:
        """All answers, best first, found page by page as they are asked for.

        The first page has `page` answers, each further one twice as many. An answer comes once,
        also where the index changes meanwhile. Options and errors are those of `search`.
        """
        self._check_process()
        check_count("page", page)
        asked = as_query(query)
        self._question(asked, page, 0, **options)
        return paged(
            lambda k, offset: self.search_many([asked], k, offset=offset, **options)[0], page
        )

    def browse(self, filter: Filter | str, k: int = 10, *, offset: int = 0) -> Hits:
        """The pictures that fit a condition, the newest first and undated ones last.

        Nothing is asked of them, so that score and similarity are 0. Raises QueryError where the
        text of a filter makes no sense.
        """
        self._check_process()
        check_count("k", k)
        check_offset(offset)
        return self._newest(self._restrict.ids(as_filter(filter)), k, offset)

    def moments(self, video: str | os.PathLike[str]) -> Hits:
        """The moments that the index keeps of a video, by its path, in their order.

        Nothing is asked of them, so that score and similarity are 0. Raises MmsearchError where
        the file is not indexed, or is no video.
        """
        self._check_process()
        first = self._reader.items([item_of(video, self._reader)])
        path = next(iter(first.values())).path
        beside = moments_beside(self._reader.raw_rows, first)
        items = self._reader.items([one.item_id for own in beside.values() for one in own])
        if not items:
            raise MmsearchError(f"{path} is not a video.", code="not-a-video", path=path)
        in_order = sorted(items.values(), key=lambda item: item.time_ms or 0)
        return Hits(as_hit(rank, item, 0.0, 0.0) for rank, item in enumerate(in_order, start=1))

    def similar(
        self,
        picture: Picture,
        k: int = 10,
        *,
        offset: int = 0,
        within: str | os.PathLike[str] | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        filter: Filter | str | None = None,
        min_score: float | None = None,
        diverse: bool | float = False,
    ) -> Hits:
        """The k pictures most like one, the nearest first, itself left out.

        `picture` is an answer or a path, whose kept vector asks where it is indexed, else the file
        is read; or an open PIL image. The options are those of `search`. Raises ImageError for a
        file that is not indexed and cannot be read, and what `search` raises.
        """
        from retrieval.search.similar import query_like, without_itself

        self._check_process()
        check_count("k", k)
        check_offset(offset)
        query, itself = query_like(picture, self._reader)
        return without_itself(
            lambda count: self.search(
                query,
                count,
                within=within,
                after=after,
                before=before,
                filter=filter,
                min_score=min_score,
                rerank="off",
                diverse=diverse,
            ),
            itself,
            k,
            offset,
        )

    def kept_marks(self, query: Askable | Query) -> Marks | None:
        """What is kept in the index as right or wrong for a question; None where nothing is."""
        self._check_process()
        return self._marks(as_query(query), "kept")

    def duplicates(
        self,
        filter: Filter | str | None = None,
        *,
        exact: bool = False,
        progress: Progress = lambda what, done, total: None,
    ) -> Duplicates:
        """Groups of pictures that are there more than once, the best of each named with its reason.

        `exact` keeps to files of the same bytes, and reads none; else pictures that seem copies by
        their vectors are read and laid upon one another. `filter` says which pictures are looked
        at. Raises QueryError where its text makes no sense.
        """
        from retrieval.organise.duplicates import find_duplicates, find_identical

        only = None if filter is None else self._restrict.ids(as_filter(filter))
        if exact:
            return find_identical(self.catalog, only)
        return find_duplicates(self.catalog, self.encoder, only, progress)

    def themes(
        self,
        k: int | None = None,
        *,
        filter: Filter | str | None = None,
        examples: int | None = 3,
    ) -> list[Theme]:
        """What the pictures are about: groups named by words, the largest first.

        `k` groups, or as many as stand apart best; `filter` says of which pictures; of each group
        so many `examples` are given, the most typical first, all where it is None. Raises
        MmsearchError where there are fewer pictures than groups, QueryError where the text of a
        filter makes no sense.
        """
        from retrieval.organise.kept_vectors import KeptVectors
        from retrieval.organise.themes import find_themes
        from retrieval.search.themes import shown_themes

        self._check_process()
        if k is not None:
            check_count("k", k)
        only = None if filter is None else self._restrict.ids(as_filter(filter))
        kept = KeptVectors.read(self.catalog, only)
        return shown_themes(find_themes(kept, self.encoder, k), self._reader, examples)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """The vectors that questions in these words are asked with, float32 (n, dim)."""
        self._check_process()
        return texts_embedded(texts, self._live.space.encoder)

    def embed_images(self, images: Sequence[str | os.PathLike[str] | Image]) -> Vectors:
        """The vectors of pictures by their paths or open, float32 (n, dim); none need be indexed.

        Raises ImageError for one that cannot be read.
        """
        self._check_process()
        if isinstance(images, str | os.PathLike):
            raise TypeError("Pictures are a list of paths or PIL images: put a single one in one.")
        pictures = [
            Path(image) if isinstance(image, str | os.PathLike) else image for image in images
        ]
        return self._encode.images(pictures, self._live.space.encoder)

    def vectors_of(self, pictures: Sequence[Hit | str | os.PathLike[str]]) -> Vectors:
        """The vectors that the index keeps of answers or of pictures by path, float32 (n, dim).

        Raises MmsearchError for one that is not indexed.
        """
        self._check_process()
        return indexed_vectors(pictures, self._reader)

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
            space = self._live.space
            explained = space.rerank.explain(
                RerankQuery(text, self._encode.words(text, space.encoder)),
                [rows[hits[place].item_id] for place in mine],
                [hits[place].similarity for place in mine],
                reranker or AUTO,
            )
            for place, explanation in zip(mine, explained, strict=True):
                found[place] = explanation
        return found

    def ask(self, question: str, picture: Picture, *, answerer: str = "auto") -> Answer:
        """The answer to a question about one picture, as "how many dogs are there?".

        `picture` is an answer or a path, which need not be indexed, or an open PIL image. Of an
        answer, what the index keeps is asked; of a path, the file as it is now. A video's path
        stands for its first moment; `moments` gives all.
        `answerer` is a name of `retrieval.answering.registry`. Raises QueryError for a question
        that it cannot answer of any picture, UnknownModelError where there is no such answerer,
        ImageError where the picture cannot be read, ValueError for a question that is not UTF-8.
        """
        self._check_process()
        return self._asker.one(
            question,
            self._first_moment(picture),
            name=answerer,
            encoder=self.encoder,
            kept=self._kept_encodings,
        )

    def ask_many(
        self, question: str, pictures: Sequence[Picture], *, answerer: str = "auto"
    ) -> list[Answer | None]:
        """As `ask`, of many pictures; None for one that cannot be read, which is logged."""
        self._check_process()
        return self._asker.many(
            question,
            [self._first_moment(picture) for picture in pictures],
            name=answerer,
            encoder=self.encoder,
            kept=self._kept_encodings,
        )

    def ask_results(
        self,
        question: str,
        query: str | Query | None = None,
        k: int = 10,
        *,
        answerer: str = "auto",
        **options: Unpack[SearchOptions],
    ) -> list[Answered]:
        """The k pictures that are found for `query`, each with the answer to a question about it.

        Words in `query` may have conditions among them, as on the command line; of conditions
        alone, the newest that fit are asked. A question as "which of my beach photos has a dog?"
        says itself, where `query` does not, which pictures it is about, and which of them are
        meant: then 50 are asked, and those are given whose answer fits. The options are those of
        `search`. Raises QueryError where neither names pictures, and what `search` and `ask` raise.
        """
        from retrieval.search.ask import WHICH_OF, Answered, read_results_question

        self._check_process()
        check_count("k", k)
        asked = read_results_question(question, query)
        options["filter"] = _both(options.get("filter"), asked.filter)
        if asked.search is None:
            after, before = options.get("after"), options.get("before")
            check_times(after, before)
            ids = self._restrict(options.get("within"), after, before, options["filter"])
            assert ids is not None
            hits = self._newest(ids, k)
        else:
            hits = self.search(asked.search, max(k, WHICH_OF) if asked.wanted else k, **options)
        answers = self.ask_many(asked.question, hits, answerer=answerer)
        found = [Answered(*pair) for pair in zip(hits, answers, strict=True)]
        if asked.wanted:
            found = [one for one in found if one.answer and one.answer.text == asked.wanted][:k]
        return found

    def close(self) -> None:
        """Let go of the index."""
        self._encode.close()
        self._live.close()

    # -- inside -------------------------------------------------------------------------------

    @cached_property
    def _asker(self) -> Asker:
        from retrieval.search.ask import Asker

        return Asker(self._encode)

    def _newest(self, ids: Ids, k: int, offset: int = 0) -> Hits:
        """Of these items the newest, of which nothing is asked."""
        items = self._reader.newest(ids, k, offset)
        return Hits(
            as_hit(rank, item, 0.0, 0.0) for rank, item in enumerate(items, start=offset + 1)
        )

    def _first_moment(self, picture: Picture) -> Picture:
        """The picture, or in the place of an indexed video's path its first moment."""
        from retrieval.search.ask import first_moment

        found = first_moment(picture, self._reader)
        items = {} if found is None else self._reader.items([found])
        return next((as_hit(1, item, 0.0, 0.0) for item in items.values()), picture)

    def _kept_encodings(
        self, pictures: Sequence[Picture], answerer: Answerer
    ) -> dict[int, ImageEncoding]:
        from retrieval.search.ask import kept_encodings

        return kept_encodings(pictures, answerer, self._live.space, self._reader)

    def _question(
        self,
        query: Query,
        k: int,
        offset: int,
        *,
        within: str | os.PathLike[str] | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        filter: Filter | str | None = None,
        min_score: float | None = None,
        rerank: str = AUTO,
        candidates: int = DEFAULT_CANDIDATES,
        fusion: Fusion = "average",
        relevant: bool = False,
        diverse: bool | float = False,
        fold: bool = False,
        match: Match = "both",
        feedback: Feedback | Literal["kept"] | None = "kept",
    ) -> Question:
        """A question whose options make sense."""
        check_count("candidates", candidates)
        check_times(after, before)
        check_min_score(min_score)
        check_rerank(rerank)
        check_choice("fusion", fusion, FUSIONS)
        check_choice("match", match, MATCHES)
        if match == "words" and query.words is None:
            raise ValueError('match="words" needs a question in words alone.')
        diversity = _balance(diverse)
        only = self._restrict(within, after, before, _both(filter, query.filter))
        return Question(
            query,
            only,
            k,
            offset,
            min_score,
            rerank,
            candidates,
            fusion,
            relevant,
            diversity,
            fold,
            match,
            self._marks(query, feedback),
        )

    def _marks(self, query: Query, feedback: Feedback | Literal["kept"] | None) -> Marks | None:
        """What is marked for a question; None where nothing is."""
        if isinstance(feedback, Feedback):
            right, wrong = (
                {item_of(picture, self._reader) for picture in pictures}
                for pictures in (feedback.right, feedback.wrong)
            )
            if right & wrong:
                raise ValueError("A picture is marked as right and as wrong: choose one.")
            return Marks(tuple(sorted(right)), tuple(sorted(wrong))) or None
        if feedback not in (None, "kept"):
            raise TypeError(f"feedback is a Feedback, 'kept' or None, not {feedback!r}.")
        key = key_of(query) if feedback else None
        return None if key is None else Marks.of(self._reader.marks(key)) or None

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


def as_query(query: object) -> Query:
    """What is asked, as data. Raises TypeError or ValueError for what is no question."""
    if isinstance(query, Query):
        return query
    check_query(query)
    return read_question(query) if isinstance(query, str) else Query.of(query)  # type: ignore[arg-type]


def _balance(diverse: bool | float) -> float | None:
    """How much scores count against differing; None where only scores do."""
    if isinstance(diverse, bool):
        return DEFAULT_BALANCE if diverse else None
    if not isinstance(diverse, Real):
        raise TypeError(f"diverse is True, False or a number from 0 to 1, not {diverse!r}.")
    if not 0 <= diverse <= 1:
        raise ValueError(f"diverse is a number from 0 to 1, not {diverse}.")
    return float(diverse)


def _both(first: Filter | str | None, second: Filter | None) -> Filter | None:
    """A filter that both fit."""
    if first is None or second is None:
        return second if first is None else as_filter(first)
    return as_filter(first) & second
