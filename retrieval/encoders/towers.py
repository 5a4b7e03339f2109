"""A picture tower and a text tower of one space, as one encoder."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.encoders.base import (
    ImageEncoder,
    ImageEncoding,
    Pixels,
    Preloadable,
    TextEncoder,
    TextEncoding,
)
from retrieval.encoders.space import EmbeddingSpace, require_same_space
from retrieval.images.preprocess import Preprocessing


class Towers:
    """An `Encoder` of two parts, so that an index can be asked through another text tower.

    Raises EncoderMismatchError where the towers are not of one space.
    """

    def __init__(self, images: ImageEncoder, texts: TextEncoder) -> None:
        require_same_space(images.space, texts.space)
        self._images = images
        self._texts = texts

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the pictures' vectors."""
        return self._images.space

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        return self._images.preprocessing

    def preload(self) -> None:
        """Begin to load what a question in words needs."""
        if isinstance(self._texts, Preloadable):
            self._texts.preload()

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        return self._images.encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; see the text tower."""
        return self._texts.encode_texts(texts)
