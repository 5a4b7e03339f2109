"""One answer of a search."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Hit:
    """A picture that answers a question.

    `rank` counts from 1. `score` is what the ranking is by, larger is better: the cosine of
    picture and question, or the fused score where a reranker looked again; `similarity` is
    always the first stage's cosine, in [-1, 1]. `question`: the words that it answers, None where
    a picture was asked with. `taken_at`: by the camera's clock, None where it is not known.
    `reranker`: the name of the one that looked again, None where none did; two
    hits are equal whatever ranked them.
    """

    rank: int
    score: float
    path: Path
    item_id: int
    similarity: float
    width_px: int
    height_px: int
    question: str | None = None
    taken_at: datetime | None = None
    reranker: str | None = field(default=None, compare=False)
