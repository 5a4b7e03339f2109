"""An encoder of a few lines for tests of indexing: the colours of a picture, nothing learnt."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.preprocess import Preprocessing


class ColorEncoder:
    """An `Encoder` whose vectors are a 4 × 4 thumbnail; counts the pictures that it is given."""

    def __init__(
        self, name: str = "colours", fingerprint: str = "c0", pause_s: float = 0.0
    ) -> None:
        self.space = EmbeddingSpace(name, 48, fingerprint)
        self.preprocessing = Preprocessing(32, "squash", "bilinear")
        self.pause_s = pause_s
        self.seen = 0

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        time.sleep(self.pause_s)
        self.seen += len(pixels)
        blocks = pixels.reshape(len(pixels), 4, 8, 4, 8, 3).mean(axis=(2, 4))
        vectors = blocks.reshape(len(pixels), -1).astype(np.float32) + 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        tokens = (blocks.reshape(len(pixels), 16, 3) - 128).clip(-128, 127).astype(np.int8)
        return ImageEncoding(np.ascontiguousarray(vectors), tokens)

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        vectors = np.ones((len(texts), 48), np.float32) / np.sqrt(np.float32(48))
        return TextEncoding(vectors)
