"""The seam between the engine and the second stage: what a reranker is given and what it returns.

A reranker says what it needs, so that the engine fetches that and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import TextEncoding
from retrieval.fusion.scores import ScoreFusion

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class RerankQuery:
    """A question in words: its text, and what the index's encoder makes of it (one text)."""

    text: str
    encoding: TextEncoding


@dataclass(frozen=True)
class Candidate:
    """A picture that the first stage found.

    `similarity` is its cosine with the question. `patch_tokens`, int8 (patches, token_dim), come
    from the cache; None where it has none, or where the reranker does not need them. `time_ms` is
    where in a video it is, None for a picture.
    """

    item_id: int
    path: Path
    similarity: float
    patch_tokens: NDArray[np.int8] | None = None
    time_ms: int | None = None


@runtime_checkable
class Reranker(Protocol):
    """Scores how well each candidate answers a question. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """What it is called, as `load_reranker` takes it."""
        ...

    @property
    def needs_tokens(self) -> bool:
        """Whether candidates have to carry their patch tokens."""
        ...

    @property
    def needs_images(self) -> bool:
        """Whether the candidates' files are opened, so that they have to be there."""
        ...

    @property
    def fusion(self) -> ScoreFusion:
        """How its scores are joined with the first stage's similarities."""
        ...

    def rerank(self, query: RerankQuery, candidates: Sequence[Candidate]) -> Scores:
        """Scores, float32 (n,), of n candidates in their order; larger is better.

        NaN for a candidate that cannot be looked at (its tokens or its file are missing), and for
        all of them where the question has no word; `fusion` knows what to make of that.
        """
        ...
