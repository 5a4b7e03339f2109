"""The encoder of an index: loaded when it is first needed, and proven to be the index's own."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from retrieval.encoders.base import Encoder, ImageEncoding, Pixels, TextEncoder, TextEncoding
from retrieval.encoders.precision import check_precision
from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
from retrieval.encoders.space import EmbeddingSpace, mismatch, require_same_space
from retrieval.encoders.towers import Towers
from retrieval.images.preprocess import Preprocessing


class BoundEncoder:
    """An `Encoder` for the vectors of one index, which knows them before it is loaded.

    `made_by` is the space of the index's vectors, None for an index that has none yet. `model`
    names the encoder of such a one; `given` is an encoder object of one's own, `texts` another
    text tower of the same space. Thread-safe.

    Raises EncoderMismatchError at once where the names tell that the model is another, and when
    it is loaded where its vectors are; UnknownModelError where the model is not to be found.
    """

    def __init__(
        self,
        made_by: EmbeddingSpace | None,
        *,
        model: str | None = None,
        precision: str = "auto",
        given: Encoder | None = None,
        texts: TextEncoder | None = None,
    ) -> None:
        self._made_by = made_by
        self._precision = check_precision(precision)
        self._given = given
        self._texts = texts
        self._loading = threading.Lock()
        self._loaded: Encoder | None = None
        self._name = model or (made_by.name if made_by else DEFAULT_MODEL)
        if made_by is not None and given is not None:
            require_same_space(made_by, given.space)
        elif made_by is not None and self._name != made_by.name:
            raise mismatch(made_by, self._name)

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the index's vectors, as the catalogue names it; else the encoder's own."""
        return self._made_by or self.loaded.space

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes pixels; loads the model."""
        return self.loaded.preprocessing

    @property
    def loaded(self) -> Encoder:
        """The encoder itself."""
        # The threads that decode ask for it at the same time.
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        return self.loaded.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts."""
        return self.loaded.encode_texts(texts)

    def _load(self) -> Encoder:
        encoder = self._given or load_encoder(self._name, self._precision)
        if self._made_by is not None:
            require_same_space(self._made_by, encoder.space)
        return encoder if self._texts is None else Towers(encoder, self._texts)
