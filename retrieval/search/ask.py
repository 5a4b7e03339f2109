"""Questions about pictures: which answerer, and what it looks at.

What an index keeps of a picture is taken where it serves the answerer; else the file is read. A
path stands for its file, so that one that has changed or is gone is not answered from the index.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.answering.base import Answer, Answerer, EncodedAnswerer
from retrieval.answering.registry import AUTO, load_answerer
from retrieval.answering.which import read_which
from retrieval.arguments import check_words
from retrieval.encoders.base import Encoder, ImageEncoding
from retrieval.errors import ImageError, QueryError
from retrieval.query.filters import Filter
from retrieval.query.parse import parse
from retrieval.query.query import Query
from retrieval.query.sequence import read_question
from retrieval.search.embed import indexed_id
from retrieval.search.encode import QueryEncoder
from retrieval.search.hit import Hit
from retrieval.search.unchanged import is_as_indexed
from retrieval.storage.closing import Closing
from retrieval.utf8 import is_utf8

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.catalog.sqlite.quick_reader import QuickReader
    from retrieval.images.preprocess import Preprocessing
    from retrieval.search.live_index import Space
    from retrieval.search.similar import Picture

    Kept = Callable[[Sequence[Picture], Answerer], Mapping[int, ImageEncoding]]
    """Of pictures, by their places, what an index keeps: an encoding of one row each."""

logger = logging.getLogger(__name__)

_PICTURES_A_BATCH = 16
_LONGEST_QUESTION = 2000
# So many pictures are asked which of them is meant.
WHICH_OF = 50


class Answered(NamedTuple):
    """A picture that a search found, and what is answered of it; None where it cannot be read."""

    hit: Hit
    answer: Answer | None


class AskedResults(NamedTuple):
    """A question about what is found.

    `question`: asked of each. `search`: what is searched for; None where the newest that fit
    `filter` are asked. `wanted`: the answer of those that are meant; empty where all are.
    """

    question: str
    search: Query | None
    filter: Filter | None
    wanted: str


class Asker(Closing):
    """Asks pictures; answerers load when they are first needed. Thread-safe."""

    def __init__(self, encode: QueryEncoder | None = None) -> None:
        self._owned = QueryEncoder() if encode is None else None
        self._encode = encode or self._owned
        self._answerers: dict[tuple[str, int], Answerer] = {}
        self._lock = threading.Lock()

    def answerer(self, name: str, encoder: Encoder | None = None) -> Answerer:
        """The answerer of that name beside an index's encoder. Raises UnknownModelError."""
        with self._lock:
            key = (name, id(encoder))
            if key not in self._answerers:
                self._answerers[key] = load_answerer(name, encoder)
            return self._answerers[key]

    def one(
        self,
        question: str,
        picture: Picture,
        *,
        name: str = AUTO,
        encoder: Encoder | None = None,
        kept: Kept | None = None,
    ) -> Answer:
        """What is answered of one picture. Raises as `many`, and ImageError."""
        found, failed = self._ask(question, [picture], name, encoder, kept)
        if failed:
            raise failed[0]
        answer = found[0]
        assert answer is not None
        return answer

    def many(
        self,
        question: str,
        pictures: Sequence[Picture],
        *,
        name: str = AUTO,
        encoder: Encoder | None = None,
        kept: Kept | None = None,
    ) -> list[Answer | None]:
        """What is answered of each picture; None for one that cannot be read, which is logged.

        Raises QueryError for a question that cannot be answered of any, UnknownModelError.
        """
        found, failed = self._ask(question, pictures, name, encoder, kept)
        for error in failed.values():
            logger.warning("%s", error)
        return found

    def close(self) -> None:
        """End the process that decodes, where it is this one's own."""
        if self._owned is not None:
            self._owned.close()

    def _ask(
        self,
        question: str,
        pictures: Sequence[Picture],
        name: str,
        encoder: Encoder | None,
        kept: Kept | None,
    ) -> tuple[list[Answer | None], dict[int, ImageError]]:
        _check_question(question)
        answerer = self.answerer(name, encoder)
        found: list[Answer | None] = [None] * len(pictures)
        failed: dict[int, ImageError] = {}
        known = dict(kept(pictures, answerer)) if kept is not None else {}
        if known and isinstance(answerer, EncodedAnswerer):
            for place, answer in zip(
                known, answerer.answer_encoded(question, _joined(list(known.values()))), strict=True
            ):
                found[place] = answer
        else:
            known = {}
        assert self._encode is not None
        rest = [place for place in range(len(pictures)) if place not in known]
        for start in range(0, len(rest), _PICTURES_A_BATCH):
            pixels = {}
            for place in rest[start : start + _PICTURES_A_BATCH]:
                try:
                    pixels[place] = self._pixels(pictures[place], answerer.preprocessing)
                except ImageError as error:
                    failed[place] = error
            if pixels:
                answers = answerer.answer(question, np.stack(list(pixels.values())))
                for place, answer in zip(pixels, answers, strict=True):
                    found[place] = answer
        return found, failed

    def _pixels(self, picture: Picture, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """What an answerer sees of a picture, or of a moment of a video. Raises ImageError."""
        # Here, since a client needs this module and no Pillow.
        from retrieval.media.base import VIDEO, kind_of

        assert self._encode is not None
        if isinstance(picture, Hit) and picture.time_ms is not None:
            from retrieval.media.thumbnails import shown

            try:
                return shown(picture.path, picture.time_ms, preprocessing).pixels
            except ImageError as error:
                raise ImageError(
                    error.kind, f"{picture.path} cannot be used: {error.reason}."
                ) from error
        source = _source(picture)
        if isinstance(source, Path) and kind_of(source.name) == VIDEO and source.is_file():
            raise ImageError(
                "unsupported",
                f"{source} is a video that is not indexed as it is now: index it, and its moments "
                "can be asked.",
            )
        return self._encode.pixels(source, preprocessing)


def first_moment(picture: Picture, reader: QuickReader) -> int | None:
    """The id of the first moment of an indexed video; None for what is not the path of one.

    Nor is that of a video that is gone or has changed since it was indexed.
    """
    # Here, as above.
    from retrieval.media.base import VIDEO, kind_of

    if not isinstance(picture, str | os.PathLike) or kind_of(os.fspath(picture)) != VIDEO:
        return None
    found = indexed_id(picture, reader)
    return found if found is not None and is_as_indexed(found, reader) else None


def kept_encodings(
    pictures: Sequence[Picture], answerer: Answerer, space: Space, reader: QuickReader
) -> dict[int, ImageEncoding]:
    """Of those pictures, by their places, that an index keeps all of that an answerer needs.

    Answers of a search are taken as they are kept; a path where its file is as it was indexed.
    """
    if not isinstance(answerer, EncodedAnswerer):
        return {}
    if answerer.space.fingerprint != space.made_by.fingerprint:
        return {}
    ids = {
        place: found
        for place, picture in enumerate(pictures)
        if isinstance(picture, Hit | str | os.PathLike)
        and (found := indexed_id(picture, reader)) is not None
        and (isinstance(picture, Hit) or is_as_indexed(found, reader))
    }
    wanted = sorted(set(ids.values()))
    tokens = space.rerank.tokens_of(wanted)
    vectors = reader.vectors(wanted)
    return {
        place: ImageEncoding(_unit(vectors[id_]), tokens[id_][np.newaxis])
        for place, id_ in ids.items()
        if id_ in tokens and id_ in vectors
    }


def read_results_question(question: str, query: str | Query | None) -> AskedResults:
    """What is asked of which results; words in `query` may have conditions among them.

    Raises QueryError where nothing says which, or a condition makes no sense, ValueError for words
    that are empty.
    """
    _check_text(question)
    search, only = _read_search(query)
    which = read_which(question)
    if which is not None:
        wanted = search if search is not None else read_question(which.search)
        return AskedResults(which.question, wanted, only, which.wanted)
    if search is None and only is None:
        raise QueryError(
            f"{question!r} does not say which pictures it is about.", code="question-results"
        )
    return AskedResults(question, search, only, "")


def _read_search(query: str | Query | None) -> tuple[Query | None, Filter | None]:
    if not isinstance(query, str):
        return query, None
    check_words(query)
    parsed = parse(query)
    return read_question(parsed.words) if parsed.words else None, parsed.filter


def _unit(vector: NDArray[np.float16]) -> NDArray[np.float32]:
    """Halves are off unit length by their rounding."""
    row = vector.astype(np.float32)[np.newaxis]
    unit: NDArray[np.float32] = row / np.linalg.norm(row)
    return unit


def _source(picture: Picture) -> Path | Image:
    if isinstance(picture, Hit):
        return picture.path
    return Path(picture) if isinstance(picture, str | os.PathLike) else picture


def _joined(encodings: Sequence[ImageEncoding]) -> ImageEncoding:
    tokens = [one.patch_tokens for one in encodings if one.patch_tokens is not None]
    return ImageEncoding(np.concatenate([one.vectors for one in encodings]), np.concatenate(tokens))


def _check_question(question: str) -> None:
    _check_text(question)
    which = read_which(question)
    if which is not None:
        raise QueryError(
            f"{question!r} chooses among many pictures: of each of them ask {which.question!r}."
        )


def _check_text(question: object) -> None:
    if not isinstance(question, str):
        raise TypeError(f"A question is a str, not {type(question).__name__}.")
    if not question.strip():
        raise QueryError("The question is empty: ask something about the picture.")
    if not is_utf8(question):
        raise ValueError("The question is not UTF-8.")
    if len(question) > _LONGEST_QUESTION:
        raise QueryError(f"The question is longer than {_LONGEST_QUESTION} letters.")
