"""The protocol of an evaluation: rank both ways, rerank, measure, time.

Text to image asks each caption for its picture; image to text asks each picture for any of its
captions. The second stage sees only the candidates that the first one put in front.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder, TextEncoding
from retrieval.encoders.space import EmbeddingSpace
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import EncodedSet, Progress, Skipped, encode_set
from retrieval.evaluation.metrics import (
    Estimate,
    Floats,
    Integers,
    Ranks,
    Summary,
    hits_at,
    paired_difference,
    rank_right_answers,
    summarise,
)
from retrieval.fusion.scores import ScoreFusion

DEFAULT_CANDIDATES = 50
_TIMED_QUESTIONS = 200


class SecondStage(Protocol):
    """What looks again at the best candidates of a question."""

    @property
    def name(self) -> str:
        """The reranker's name."""
        ...

    @property
    def fusion(self) -> ScoreFusion:
        """How its scores are joined with the first stage's in the list of one question."""
        ...

    def score(
        self, text: str, encoding: TextEncoding, similarities: Floats, pictures: Integers
    ) -> Floats:
        """Second scores (n,), larger is better, of n pictures of the set for one text.

        `similarities`: (n,) cosines; `pictures`: (n,) positions in the encoded set. NaN for
        pictures that cannot be looked at.
        """
        ...


@dataclass(frozen=True)
class Direction:
    """One direction's measures, before and after reranking, or with one encoder and another.

    `after` and `gain_at_1`, the paired gain in recall at 1, are None where there is nothing after.
    """

    before: Summary
    after: Summary | None = None
    gain_at_1: Estimate | None = None


@dataclass(frozen=True)
class Timing:
    """Milliseconds a question, text to image, on average, asked one at a time.

    `encode_ms`: words to a vector. `search_ms`: the first stage, exact over the whole set.
    `rerank_ms`: the second stage, None without one.
    """

    encode_ms: float
    search_ms: float
    rerank_ms: float | None

    @property
    def total_ms(self) -> float:
        """All of it."""
        return self.encode_ms + self.search_ms + (self.rerank_ms or 0.0)


@dataclass(frozen=True)
class Evaluation:
    """What was measured, on what and with what."""

    encoder: EmbeddingSpace
    reranker: str | None
    candidates: int
    pictures: int
    captions: int
    skipped: tuple[Skipped, ...]
    text_to_image: Direction
    image_to_text: Direction
    timing: Timing


class SecondStageFactory(Protocol):
    """Makes a second stage for an encoded set."""

    def __call__(self, encoded: EncodedSet) -> SecondStage:
        """The second stage, with the set's patch tokens or paths at hand."""
        ...


def evaluate(
    encoder: Encoder,
    pictures: Sequence[CaptionedImage],
    images: Path,
    *,
    second_stage: SecondStageFactory | None = None,
    candidates: int = DEFAULT_CANDIDATES,
    progress: Progress | None = None,
) -> Evaluation:
    """Encode pictures and captions once and measure retrieval among them, both ways.

    Raises CaptionsError where no picture can be read.
    """
    encoded = encode_set(encoder, pictures, images, progress)
    first = encoded.text_vectors @ encoded.image_vectors.T
    places = np.arange(len(encoded.names), dtype=np.int64)
    by_text = rank_right_answers(first, encoded.owner, places)
    by_image = rank_right_answers(first.T, places, encoded.owner)
    encode_ms, search_ms = _time_first_stage(encoder, encoded)
    if second_stage is None:
        text_to_image, image_to_text = Direction(summarise(by_text)), Direction(summarise(by_image))
        name, rerank_ms = None, None
    else:
        stage = second_stage(encoded)
        looked = _look_again(encoder, encoded, stage, first, candidates, progress)
        text_to_image = compared(by_text, rank_right_answers(looked.by_text, encoded.owner, places))
        image_to_text = compared(
            by_image, rank_right_answers(looked.by_image, places, encoded.owner)
        )
        name, rerank_ms = stage.name, looked.rerank_ms
    return Evaluation(
        encoder=encoder.space,
        reranker=name,
        candidates=candidates,
        pictures=len(encoded.names),
        captions=len(encoded.captions),
        skipped=encoded.skipped,
        text_to_image=text_to_image,
        image_to_text=image_to_text,
        timing=Timing(encode_ms, search_ms, rerank_ms),
    )


def put_in_front(
    first: NDArray[np.floating], chosen: Integers, fused: NDArray[np.floating]
) -> Floats:
    """One question's scores (n,) with the chosen items in front of all others, by fused score.

    `first`: (n,); `chosen`: (c,) positions; `fused`: (c,). Ties among the fused scores stay ties.
    """
    scores = first.astype(np.float64)
    # Whole numbers above anything in `first`: exact, whatever the scale of the fused scores.
    order = np.unique(fused, return_inverse=True)[1]
    scores[chosen] = np.ceil(scores.max()) + 1.0 + order
    return scores


def top(scores: NDArray[np.floating], count: int) -> Integers:
    """(rows, count): positions of the best of each row, best first, earlier ones first in ties."""
    order: Integers = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return order


def compared(before: Ranks, after: Ranks) -> Direction:
    """Measures of the same questions before and after, with the paired gain in recall at 1."""
    gain = paired_difference(before, after, lambda ranks: hits_at(ranks, 1))
    return Direction(summarise(before), summarise(after), gain)


# -- inside -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Looked:
    """Scores after the second stage: (t, p) by text, (p, t) by image, and its time."""

    by_text: Floats
    by_image: Floats
    rerank_ms: float


def _look_again(
    encoder: Encoder,
    encoded: EncodedSet,
    stage: SecondStage,
    first: NDArray[np.float32],
    candidates: int,
    progress: Progress | None,
) -> _Looked:
    """Rescore every pair that either direction has among its candidates, caption by caption."""
    captions, pictures = first.shape
    by_text = top(first, candidates)
    # Pairs that only the picture's own list of captions brings up are asked along with the rest.
    wanted = np.zeros(first.shape, dtype=bool)
    by_image = top(first.T, candidates)
    wanted[by_image, np.arange(pictures)[:, np.newaxis]] = True
    image_candidates = wanted.copy()
    text_scores = np.empty(first.shape)
    second = np.full(first.shape, np.nan)
    elapsed_s = 0.0
    for row, text in enumerate(encoded.captions):
        encoding = encoder.encode_texts([text])
        mine = by_text[row]
        started = time.perf_counter()
        similarities = first[row, mine].astype(np.float64)
        second[row, mine] = stage.score(text, encoding, similarities, mine)
        fused = stage.fusion.fuse(similarities, second[row, mine])
        elapsed_s += time.perf_counter() - started
        text_scores[row] = put_in_front(first[row], mine, fused)
        wanted[row, mine] = False
        others = np.flatnonzero(wanted[row])
        if len(others):
            second[row, others] = stage.score(
                text, encoding, first[row, others].astype(np.float64), others
            )
        if progress:
            progress("questions reranked", row + 1, captions)
    image_scores = np.empty((pictures, captions))
    for column in range(pictures):
        chosen = np.flatnonzero(image_candidates[:, column])
        # A picture's list of captions is fused as a list of its own.
        fused = stage.fusion.fuse(first[chosen, column], second[chosen, column])
        image_scores[column] = put_in_front(first[:, column], chosen, fused)
    return _Looked(text_scores, image_scores, 1000.0 * elapsed_s / captions)


def _time_first_stage(encoder: Encoder, encoded: EncodedSet) -> tuple[float, float]:
    """Milliseconds to encode a question and to find its nearest pictures, on average."""
    asked = encoded.captions[:_TIMED_QUESTIONS]
    encode_s = search_s = 0.0
    for text in asked:
        started = time.perf_counter()
        vectors = encoder.encode_texts([text]).vectors
        encoded_at = time.perf_counter()
        top(vectors @ encoded.image_vectors.T, 10)
        encode_s += encoded_at - started
        search_s += time.perf_counter() - encoded_at
    return 1000.0 * encode_s / len(asked), 1000.0 * search_s / len(asked)
