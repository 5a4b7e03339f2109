"""Answers as programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrieval.search.hit import Hit
from retrieval.search.records import hit_record

__all__ = ["answer_records", "hit_record"]

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
