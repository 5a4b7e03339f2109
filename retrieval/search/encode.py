"""What is asked with as vectors: words by the text tower, pictures by the picture tower."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.arguments import check_query
from retrieval.encoders.base import Encoder, TextEncoding, Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.headed import HeadedEncoder, without_heads
from retrieval.encoders.languages.router import LanguageRouter
from retrieval.errors import ImageError
from retrieval.images.files import read_file
from retrieval.query.query import Embedding, Query, Term
from retrieval.search.parallel import each

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.images.decoder_pool import DecoderPool
    from retrieval.images.preprocess import Preprocessing


@dataclass(frozen=True)
class Encoded:
    """Encodings, of one row each, of what a question wants and of what it does not."""

    wanted: list[TextEncoding]
    unwanted: list[TextEncoding]


class QueryEncoder:
    """Encodes the parts of questions. Thread-safe."""

    def __init__(self) -> None:
        self._decoders: DecoderPool | None = None
        self._router: LanguageRouter | None = None
        self._lock = threading.Lock()

    def encode(self, queries: Sequence[Query], encoder: Encoder) -> list[Encoded]:
        """The encodings of what each question wants and does not want.

        Raises ImageError where a picture cannot be read.
        """
        return each(
            lambda query: Encoded(
                [self._encode(term, encoder) for term in query.wanted],
                [self._encode(term, encoder) for term in query.unwanted],
            ),
            queries,
        )

    def words(self, text: str, encoder: Encoder) -> TextEncoding:
        """The encoding of words, through the tower for other languages where they are in one."""
        base = without_heads(encoder)
        if not isinstance(base, CompactEncoder):
            return encoder.encode_texts([text])
        with self._lock:
            if self._router is None or self._router.encoder is not base:
                self._router = LanguageRouter(base)
            router = self._router
        encoding = router.encode(text)
        return encoder.through_head(encoding) if isinstance(encoder, HeadedEncoder) else encoding

    def close(self) -> None:
        """End the process that decodes."""
        with self._lock:
            if self._decoders is not None:
                self._decoders.close()
                self._decoders = None

    def images(self, pictures: Sequence[Path | Image], encoder: Encoder) -> Vectors:
        """The vectors, (n, dim), of pictures by their paths or open.

        Raises ImageError for one that cannot be read, TypeError for what is none.
        """
        for picture in pictures:
            if isinstance(picture, str | np.ndarray):
                raise TypeError(
                    f"A picture is a path or a PIL image, not {type(picture).__name__}."
                )
            check_query(picture)
        found = each(lambda picture: self._encode(Term(picture), encoder).vectors, pictures)
        return np.concatenate([np.empty((0, encoder.space.dim), np.float32), *found])

    def _encode(self, term: Term, encoder: Encoder) -> TextEncoding:
        """One part alone, since in a batch its vector would depend on the others."""
        if isinstance(term.value, str):
            return self.words(term.value, encoder)
        if isinstance(term.value, Embedding):
            return TextEncoding(_of_space(term.value, encoder.space.dim))
        pixels = self.pixels(term.value, encoder.preprocessing)
        return TextEncoding(encoder.encode_images(pixels[np.newaxis]).vectors)

    def pixels(self, picture: Path | Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """What a model sees of a picture, uint8 (size_px, size_px, 3). Raises ImageError.

        A file may come from anybody, so it is decoded where it can do no harm; a picture that the
        caller has opened has been decoded already.
        """
        if not isinstance(picture, os.PathLike):
            # Here, since words need no Pillow.
            from retrieval.images.decode import read_image, to_pixels

            return to_pixels(read_image(picture), preprocessing)
        path = Path(picture)
        try:
            return self._decoder().decode(read_file(path), preprocessing).pixels
        except OSError as error:
            raise ImageError(
                "unreadable", f"{path} cannot be read ({error.strerror or error})."
            ) from error
        except ImageError as error:
            raise ImageError(error.kind, f"{path} cannot be used: {error.reason}.") from error

    def _decoder(self) -> DecoderPool:
        from retrieval.images.decoder_pool import DecoderPool

        with self._lock:
            if self._decoders is None:
                self._decoders = DecoderPool(processes=1)
            return self._decoders


def _of_space(embedding: Embedding, dim: int) -> Vectors:
    vector = embedding.vector
    if vector.shape[1] != dim:
        raise ValueError(
            f"The vector has {vector.shape[1]} numbers; those of this index have {dim}."
        )
    return vector
