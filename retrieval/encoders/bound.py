"""The encoder of an index, loaded when a picture first needs it and kept between runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from retrieval.encoders.base import (
    Encoder,
    EncoderIdentity,
    ImageEncoding,
    Pixels,
    TextEncoding,
)
from retrieval.encoders.identity import require_same_identity
from retrieval.encoders.registry import load_encoder
from retrieval.images.preprocess import Preprocessing


def load_own_encoder(
    made_by: EncoderIdentity, given: Encoder | None = None, precision: str = "auto"
) -> Encoder:
    """The encoder that made an index. Raises EncoderMismatchError, UnknownModelError."""
    encoder = given or load_encoder(made_by.name, precision)
    require_same_identity(made_by, encoder.identity)
    return encoder


class BoundEncoder:
    """An `Encoder` that knows from the catalogue which it is, and loads itself when it is used.

    Its methods raise EncoderMismatchError where the model of that name is another by now.
    """

    def __init__(self, identity: EncoderIdentity, precision: str = "auto") -> None:
        self._identity = identity
        self._precision = precision
        self._loaded: Encoder | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> EncoderIdentity:
        """The identity that the catalogue names."""
        return self._identity

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes pixels; loads the model."""
        return self._own().preprocessing

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        return self._own().encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts."""
        return self._own().encode_texts(texts)

    def _own(self) -> Encoder:
        with self._lock:
            if self._loaded is None:
                self._loaded = load_own_encoder(self._identity, precision=self._precision)
            return self._loaded
