"""An answer as JSON takes it, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrieval.catalog.records import ModelCaption
from retrieval.images.facts import ImageMetadata
from retrieval.media.times import clock
from retrieval.search.hit import Hit


def hit_record(hit: Hit) -> dict[str, Any]:
    """One answer, as JSON takes it; with those that are folded into it, where there are some.

    Numbers are rounded to what is worth reading; `exact_record` keeps them.
    """
    return {
        **({"like": [hit_record(other) for other in hit.like]} if hit.like else {}),
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "similarity": round(hit.similarity, 6),
        "relevance": None if hit.relevance is None else round(hit.relevance, 4),
        "fits": hit.fits,
        "word_score": round(hit.word_score, 6),
        "path": str(hit.path),
        **_moment(hit),
        "width_px": hit.width_px,
        "height_px": hit.height_px,
        "taken_at": hit.taken_at.isoformat() if hit.taken_at else None,
        "metadata": hit.metadata.to_json(),
        "captions": [caption._asdict() for caption in hit.captions],
    }


def _moment(hit: Hit) -> dict[str, Any]:
    """Where in a video an answer is; for a picture, that it is in none."""
    span_ms = hit.span_ms
    return {
        "time_ms": hit.time_ms,
        "time": None if hit.time_ms is None else clock(hit.time_ms),
        "span_ms": None if span_ms is None else list(span_ms),
    }


def exact_record(hit: Hit) -> dict[str, Any]:
    """As `hit_record`, with numbers to the last digit, and with `id`, `reranker` and `question`."""
    return {
        **hit_record(hit),
        **({"like": [exact_record(other) for other in hit.like]} if hit.like else {}),
        "id": hit.item_id,
        "score": hit.score,
        "similarity": hit.similarity,
        "relevance": hit.relevance,
        "word_score": hit.word_score,
        "reranker": hit.reranker,
        "question": hit.question,
    }


def hit_from_record(record: dict[str, Any]) -> Hit:
    """The answer that a record of `exact_record` was made of."""
    return Hit(
        rank=record["rank"],
        score=record["score"],
        path=Path(record["path"]),
        item_id=record["id"],
        similarity=record["similarity"],
        width_px=record["width_px"],
        height_px=record["height_px"],
        question=record["question"],
        metadata=ImageMetadata.from_json(record["metadata"]),
        time_ms=record["time_ms"],
        reranker=record["reranker"],
        relevance=record["relevance"],
        fits=record["fits"],
        like=tuple(hit_from_record(other) for other in record.get("like", ())),
        word_score=record["word_score"],
        captions=tuple(ModelCaption(**caption) for caption in record.get("captions", ())),
    )
