"""A reranker over an encoded set, for an evaluation: tokens from memory, files from a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from retrieval.encoders.base import Encoder, TextEncoding
from retrieval.errors import UnknownModelError
from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.evaluation.metrics import Floats, Integers
from retrieval.evaluation.protocol import SecondStageFactory
from retrieval.fusion.scores import ScoreFusion
from retrieval.rerankers.base import Candidate, Reranker, RerankQuery
from retrieval.rerankers.registry import load_reranker


class RerankedSet:
    """A reranker that looks at the pictures of an encoded set, whose files are below `images`.

    Raises UnknownModelError where it needs patch tokens and the set has none.
    """

    def __init__(self, reranker: Reranker, images: Path, encoded: EncodedSet) -> None:
        if reranker.needs_tokens and encoded.patch_tokens is None:
            raise UnknownModelError(
                f"{reranker.name} needs patch tokens, which this model does not give."
            )
        self._reranker = reranker
        self._images = images
        self._encoded = encoded

    @property
    def name(self) -> str:
        """The reranker's name."""
        return self._reranker.name

    @property
    def fusion(self) -> ScoreFusion:
        """How its scores are joined with the first stage's."""
        return self._reranker.fusion

    def score(
        self, text: str, encoding: TextEncoding, similarities: Floats, pictures: Integers
    ) -> Floats:
        """Second scores (n,) of n pictures of the set, NaN where there is none."""
        tokens = self._encoded.patch_tokens
        candidates = [
            Candidate(
                image,
                self._images / self._encoded.names[image],
                similarity,
                None if tokens is None else tokens[image],
            )
            for image, similarity in zip(pictures.tolist(), similarities.tolist(), strict=True)
        ]
        scores = self._reranker.rerank(RerankQuery(text, encoding), candidates)
        return scores.astype(np.float64)


def choose_second_stage(rerank: str, encoder: Encoder, images: Path) -> SecondStageFactory | None:
    """The second stage for a name as `load_reranker` takes it; None for none.

    Raises UnknownModelError.
    """
    reranker = load_reranker(rerank, encoder)
    return None if reranker is None else partial(RerankedSet, reranker, images)
