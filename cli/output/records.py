"""Answers as programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrieval.search.hit import Hit

if TYPE_CHECKING:
    from retrieval.search.explain import Explanation


def answer_records(
    hits: Sequence[Hit], explanations: Sequence[Explanation | None] | None = None
) -> list[dict[str, Any]]:
    """The answers as JSON takes them; with `heat` where they are explained."""
    records = [hit_record(hit) for hit in hits]
    if explanations is None:
        return records
    # Here, since a plain question does without.
    from retrieval.search.heatmaps import heat_records

    return [
        record | {"heat": heat_records(explanation)}
        for record, explanation in zip(records, explanations, strict=True)
    ]


def hit_record(hit: Hit) -> dict[str, Any]:
    """One answer, as JSON takes it; with those that are folded into it, where there are some."""
    return {
        **({"like": [hit_record(other) for other in hit.like]} if hit.like else {}),
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "similarity": round(hit.similarity, 6),
        "relevance": None if hit.relevance is None else round(hit.relevance, 4),
        "fits": hit.fits,
        "word_score": round(hit.word_score, 6),
        "path": str(hit.path),
        "width_px": hit.width_px,
        "height_px": hit.height_px,
        "taken_at": hit.taken_at.isoformat() if hit.taken_at else None,
        "metadata": hit.metadata.to_json(),
    }
