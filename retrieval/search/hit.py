"""One answer of a search."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from retrieval.catalog.records import ModelCaption
from retrieval.images.facts import NO_METADATA, ImageMetadata


@dataclass(frozen=True)
class Hit:
    """A picture that answers a question.

    `rank` counts from 1. `score` is what the ranking is by, larger is better: the cosine of
    picture and question, or the fused score where a reranker looked again; `similarity` is
    always the first stage's cosine, in [-1, 1]. `word_score`: what the words of its name, folder,
    title, caption and keywords added, 0 where they have none of the question's. `question`: the
    words that it answers, None where a picture was asked with. `metadata`: what the picture's file
    says of it. `time_ms`: where in a video, None for a picture. `reranker`: the name of the one
    that looked again, None where none did; two hits are equal whatever ranked them. `relevance`:
    how likely it is that the picture fits the words, in [0, 1], and `fits`: whether that is enough
    to say that it does; both None where it is not known, as for a picture that was asked with or a
    model never calibrated. `like`: where answers were folded, those that show the same and follow
    it, best first. `shard`: of several servers that were asked together, the one that answered.
    `captions`: what models wrote about it; the caption in the file itself is in `metadata`.
    """

    rank: int
    score: float
    path: Path
    item_id: int
    similarity: float
    width_px: int
    height_px: int
    question: str | None = None
    metadata: ImageMetadata = NO_METADATA
    time_ms: int | None = None
    reranker: str | None = field(default=None, compare=False)
    relevance: float | None = field(default=None, compare=False)
    fits: bool | None = field(default=None, compare=False)
    like: tuple[Hit, ...] = field(default=(), repr=False)
    word_score: float = 0.0
    captions: tuple[ModelCaption, ...] = ()
    shard: str | None = field(default=None, compare=False)

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """The first and the last moment of the video that answer here; None for a picture."""
        own = [hit.time_ms for hit in (self, *self.like) if hit.path == self.path]
        times = [time_ms for time_ms in own if time_ms is not None]
        return (min(times), max(times)) if times else None

    @property
    def taken_at(self) -> datetime | None:
        """When it was taken, by the camera's clock; None where that is not known."""
        return self.metadata.taken_at

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        # Here, as everywhere that only notebooks go.
        from retrieval.search.notebook import card

        return card(self)


class Hits(list[Hit]):
    """A list of answers, best first, which a notebook shows as a grid of pictures."""

    def _repr_html_(self) -> str:
        """How a notebook shows them."""
        from retrieval.search.notebook import grid

        return grid(self)
