"""The seam between the engine and the models: what an encoder is and what it returns.

Vectors are float32, C-contiguous, L2-normalised, shape (n, dim), everywhere in mmsearch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.preprocess import Preprocessing

Vectors = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageEncoding:
    """What an encoder makes of n pictures.

    `vectors`: (n, dim). `patch_tokens`: int8 (n, patches, token_dim), row-major over the patch
    grid, or None where the encoder has none; they feed the reranker.
    """

    vectors: Vectors
    patch_tokens: NDArray[np.int8] | None = None


@dataclass(frozen=True)
class TextEncoding:
    """What an encoder makes of n texts.

    `vectors`: (n, dim). `word_tokens`: float32 (n, length, token_dim) with `word_mask` bool
    (n, length), True where there is a token; `words` gives the written form of each token.
    The last three are None where the encoder keeps none. `in_other_language`: whether the texts
    were taken for another language than the encoder's own, and went through another tower.
    """

    vectors: Vectors
    word_tokens: NDArray[np.float32] | None = None
    word_mask: NDArray[np.bool_] | None = None
    words: tuple[tuple[str, ...], ...] | None = None
    in_other_language: bool = False

    def row(self, place: int) -> TextEncoding:
        """The encoding of one of the texts alone."""
        mine = slice(place, place + 1)
        return TextEncoding(
            self.vectors[mine],
            None if self.word_tokens is None else self.word_tokens[mine],
            None if self.word_mask is None else self.word_mask[mine],
            None if self.words is None else self.words[mine],
            self.in_other_language,
        )


@runtime_checkable
class Preloadable(Protocol):
    """An encoder or a reranker that can load for a question before the question is there."""

    def preload(self) -> None:
        """Begin to load, beside what the caller does next. Raises nothing that a question would."""
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """Pictures to unit vectors. May be called from several threads at once."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        ...

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to unit vectors. May be called from several threads at once."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors: that of the picture tower that it was trained for."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; one that is too long for the model is cut at its end."""
        ...


@runtime_checkable
class Encoder(ImageEncoder, TextEncoder, Protocol):
    """Pictures and texts to unit vectors in one shared space (a CLIP-style dual encoder)."""


class PatchTokenEncoder(Encoder, Protocol):
    """An encoder that keeps patch tokens, for a reranker that looks at them word by word."""

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid."""
        ...

    @property
    def whole_rows(self) -> int:
        """How many rows of patch tokens, after the grid's, describe the picture as a whole."""
        ...

    @property
    def token_scale(self) -> float:
        """What patch tokens, int8, are multiplied by to become floats."""
        ...


def gives_patch_tokens(encoder: Encoder) -> TypeGuard[PatchTokenEncoder]:
    """Whether an encoder is a `PatchTokenEncoder`, told without loading it."""
    # Of the class: looking at the object's properties would load the weights.
    return hasattr(type(encoder), "token_grid")
