"""Questions asked of encoded pictures, in memory, by each way that the engine answers.

Gives what `retrieval.search.relevance` makes its features of; fits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import TextEncoder, Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.languages.multilingual import MultilingualTextEncoder
from retrieval.errors import UnknownModelError
from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.evaluation.protocol import SecondStage
from retrieval.evaluation.rerank import choose_second_stage
from retrieval.search.question import DEFAULT_CANDIDATES
from retrieval.search.relevance import features
from training.questions import Question

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A question and the pictures searched, positions (p,) in the encoded set."""

    question: Question
    searched: NDArray[np.int64]


@dataclass(frozen=True)
class Answered:
    """The candidates of a question, best first.

    `features` (n, f); `fits` and `unclear`, bool (n,); `is_answerable`: whether any picture of
    those searched fits.
    """

    features: Floats
    fits: NDArray[np.bool_]
    unclear: NDArray[np.bool_]
    is_answerable: bool
    kind: str


class Asker:
    """Asks an encoded set. `cohort` (c, dim) is what the features hold a question against."""

    def __init__(self, encoder: CompactEncoder, encoded: EncodedSet, cohort: Vectors) -> None:
        self._encoder = encoder
        self._encoded = encoded
        self._cohort = cohort

    def ways(self) -> list[str]:
        """The ways that the model can answer by, as `RelevanceModel` names them."""
        found = ["first"]
        if self._second is not None:
            found.append("second")
        if self._multilingual is not None:
            found.append("languages")
        return found

    def ask(self, way: str, asked: Asked) -> Answered:
        """The candidates that the engine would rank, with their features."""
        # English through the other tower, whose space has no languages: what is near in one is
        # near in all.
        texts: TextEncoder | None = self._multilingual if way == "languages" else self._encoder
        assert texts is not None
        encoding = texts.encode_texts([asked.question.text])
        first = (self._encoded.image_vectors[asked.searched] @ encoding.vectors[0]).astype(
            np.float64
        )
        best = np.argsort(-first, kind="stable")[:DEFAULT_CANDIDATES]
        scores, added = first[best], None
        if way == "second":
            assert self._second is not None
            found = self._second.score(asked.question.text, encoding, scores, asked.searched[best])
            fused = self._second.fusion.fuse(scores, found)
            scores, added = fused, fused - scores
            order = np.argsort(-fused, kind="stable")
            best, scores = best[order], scores[order]
        return Answered(
            features(asked.question.text, encoding, self._cohort, scores, added),
            asked.question.fits[best],
            asked.question.unclear[best],
            asked.question.is_answerable,
            asked.question.kind,
        )

    @cached_property
    def _multilingual(self) -> TextEncoder | None:
        try:
            return MultilingualTextEncoder(self._encoder.model_dir, self._encoder.space)
        except UnknownModelError:
            return None

    @cached_property
    def _second(self) -> SecondStage | None:
        made = choose_second_stage("auto", self._encoder, Path())
        return None if made is None else made(self._encoded)


def of_top(answered: Sequence[Answered], k: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Features (m, f) and fits (m,) of the first k candidates of all, unclear ones left out."""
    kept = [~one.unclear[:k] for one in answered]
    return (
        np.concatenate([one.features[:k][keep] for one, keep in zip(answered, kept, strict=True)]),
        np.concatenate([one.fits[:k][keep] for one, keep in zip(answered, kept, strict=True)]),
    )
