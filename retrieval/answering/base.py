"""The seam between questions about pictures and the models that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from retrieval.answering.kinds import Kind
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.preprocess import Preprocessing


@dataclass(frozen=True)
class Answer:
    """What an answerer says of one picture.

    `text`: its best answer. `confidence`, from 0 to 1: how likely that is right. `is_sure`: whether
    that is enough to be told as it stands. `kind` of the question, None where the answerer makes no
    difference. `others`: the next best answers with their confidences, best first.
    """

    text: str
    confidence: float
    is_sure: bool
    kind: Kind | None
    others: tuple[tuple[str, float], ...] = ()


@runtime_checkable
class Answerer(Protocol):
    """Answers questions about pictures in a word. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """What it is called, as `load_answerer` takes it."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `answer` takes."""
        ...

    def answer(self, question: str, pixels: Pixels) -> list[Answer]:
        """What it answers of n pictures, uint8 (n, size_px, size_px, 3) RGB.

        Raises QueryError for a question that it cannot answer of any picture.
        """
        ...


@runtime_checkable
class EncodedAnswerer(Answerer, Protocol):
    """One that also answers from what an encoder made of pictures, as an index keeps it."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the encoder whose vectors and patch tokens it takes."""
        ...

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """What that encoder makes of pixels."""
        ...

    def answer_encoded(self, question: str, pictures: ImageEncoding) -> list[Answer]:
        """As `answer`, of n encoded pictures, which have patch tokens."""
        ...


def best_answers(
    found: Sequence[tuple[str, float]], least: float | None, kind: Kind | None, others: int = 3
) -> Answer:
    """The first of answers with their confidences, best first; sure from `least` on, if at all."""
    text, confidence = found[0]
    is_sure = least is not None and confidence >= least
    return Answer(text, confidence, is_sure, kind, tuple(found[1 : 1 + others]))
