"""The documented JSON of answers, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrieval.answering.base import Answer


def answer_record(answer: Answer) -> dict[str, Any]:
    """An answer as JSON takes it."""
    return {
        "answer": answer.text,
        "confidence": round(answer.confidence, 4),
        "sure": answer.is_sure,
        "kind": answer.kind,
        "others": [{"answer": text, "confidence": round(own, 4)} for text, own in answer.others],
    }


def answer_from_record(record: Mapping[str, Any]) -> Answer:
    """From what `answer_record` made."""
    others = tuple((one["answer"], one["confidence"]) for one in record["others"])
    return Answer(record["answer"], record["confidence"], record["sure"], record["kind"], others)
