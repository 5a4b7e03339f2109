"""The search engine: words or a picture in, ranked pictures out.

One way through: question → `Encoder` → `VectorIndex` (top n) → `Reranker` (top k) → `Hit`s.
It reads an index; the `indexer` package makes one.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog import Catalog
from retrieval.encoders.base import Encoder, TextEncoding, Vectors
from retrieval.encoders.registry import load_encoder
from retrieval.errors import EncoderMismatchError, IndexMissingError
from retrieval.hit import Hit
from retrieval.locations import IndexLocation, locate_index
from retrieval.pictures import read_picture, to_pixels
from retrieval.vectors.base import Ids
from retrieval.vectors.store import Snapshot, VectorStore

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)


class SearchEngine:
    """Answers questions from an index. Searching is thread-safe.

    Pictures that an indexer adds meanwhile are found by the next search, without reopening.

    >>> with SearchEngine.open() as engine:
    ...     for hit in engine.search("a dog on a beach", k=10):
    ...         print(hit.score, hit.path)
    """

    def __init__(self, catalog: Catalog, location: IndexLocation, encoder: Encoder) -> None:
        self._catalog = catalog
        self._location = location
        self._encoder = encoder
        self._store = VectorStore(location.folder)
        self._snapshot: Snapshot | None = None
        self._snapshot_lock = threading.Lock()

    @classmethod
    def open(
        cls,
        index_dir: str | os.PathLike[str] | None = None,
        *,
        encoder: Encoder | None = None,
    ) -> Self:
        """Open the index in `index_dir`, by default the user's own.

        `encoder` is for an encoder object of one's own; without it the one that made the index is
        loaded by its name. Raises IndexMissingError where nothing is indexed yet,
        EncoderMismatchError where the encoder is not the one that made the index.
        """
        location = locate_index(index_dir)
        catalog = Catalog.open(location.catalog)
        try:
            made_by = catalog.encoder
            if made_by is None:
                raise IndexMissingError(
                    f"The index in {location.folder} is empty: add pictures with "
                    "`mmsearch index FOLDER`."
                )
            chosen = encoder if encoder is not None else load_encoder(made_by.name)
            if chosen.identity != made_by:
                raise EncoderMismatchError(
                    f"The index was made with {made_by.name} ({made_by.fingerprint[:8]}), and "
                    f"{chosen.identity.name} ({chosen.identity.fingerprint[:8]}) cannot read it: "
                    "make a new one with `mmsearch --index-dir OTHER index FOLDER "
                    f"--model {chosen.identity.name}`."
                )
        except BaseException:
            catalog.close()
            raise
        return cls(catalog, location, chosen)

    @property
    def catalog(self) -> Catalog:
        """What is indexed."""
        return self._catalog

    @property
    def encoder(self) -> Encoder:
        """The encoder that questions go through."""
        return self._encoder

    @property
    def location(self) -> IndexLocation:
        """Where the index lies."""
        return self._location

    def search(
        self,
        query: str | os.PathLike[str] | Image,
        k: int = 10,
        *,
        within: str | os.PathLike[str] | None = None,
        min_score: float | None = None,
    ) -> list[Hit]:
        """The k pictures that answer best, best first.

        `query` is words (a str), or a picture: a path (os.PathLike) or an open PIL image.
        `within` keeps to pictures below a folder; `min_score` leaves out those whose similarity
        to the question, a cosine, is lower.
        """
        vectors = self._embed(query).vectors
        similarities, ids = self._nearest(vectors, k, within)
        return self._hits(similarities[0], ids[0], min_score)

    def search_many(
        self,
        texts: Sequence[str],
        k: int = 10,
        *,
        within: str | os.PathLike[str] | None = None,
    ) -> list[list[Hit]]:
        """First-stage answers to many texts at once, quicker than one by one."""
        if not texts:
            return []
        similarities, ids = self._nearest(self._encoder.encode_texts(texts).vectors, k, within)
        return [
            self._hits(row, row_ids, None) for row, row_ids in zip(similarities, ids, strict=True)
        ]

    def close(self) -> None:
        """Let go of the index."""
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------

    def _embed(self, query: str | os.PathLike[str] | Image) -> TextEncoding:
        """The question's encoding; a picture has a vector and no words."""
        if isinstance(query, str):
            return self._encoder.encode_texts([query])
        pixels = to_pixels(read_picture(query), self._encoder.preprocessing)
        return TextEncoding(self._encoder.encode_pictures(pixels[np.newaxis]).vectors)

    def _nearest(
        self, vectors: Vectors, n: int, within: str | os.PathLike[str] | None
    ) -> tuple[Vectors, Ids]:
        """First stage: similarities (q, n) and picture ids (q, n), -1 where there are no more."""
        only = None if within is None else self._catalog.ids_within(_absolute(within))
        return self._present().index.search(vectors, n, within=only)

    def _hits(self, scores: NDArray[np.float32], ids: Ids, min_score: float | None) -> list[Hit]:
        pictures = self._catalog.pictures([int(id_) for id_ in ids if id_ >= 0])
        hits: list[Hit] = []
        for score, picture_id in zip(scores.tolist(), ids.tolist(), strict=True):
            picture = pictures.get(picture_id)
            # A picture may have been removed between the two look-ups.
            if picture is None or (min_score is not None and score < min_score):
                continue
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    score=score,
                    path=picture.path,
                    picture_id=picture.id,
                    similarity=score,
                    width_px=picture.width_px,
                    height_px=picture.height_px,
                )
            )
        return hits

    def _present(self) -> Snapshot:
        """The vector index as the catalogue stands now."""
        with self._snapshot_lock:
            if self._snapshot is None:
                self._snapshot = self._store.load(self._catalog)
            elif self._snapshot.generation != self._catalog.generation:
                self._snapshot = self._snapshot.caught_up(self._catalog)
            return self._snapshot


def _absolute(folder: str | os.PathLike[str]) -> Path:
    # Not resolve(): the catalogue keeps paths as they were given, symbolic links and all.
    return Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100
