"""A question that says what happens first and what then: "a dog runs, then jumps into water"."""

from __future__ import annotations

import re
from dataclasses import replace

from retrieval.query.negation import read_negation
from retrieval.query.query import Query

# After a comma or "and"; "now and then" tells of no order.
_THEN = re.compile(r"(?:\s*[,;]\s*(?:and\s+)?|(?<!\bnow)\s+and\s+)then\b\s*,?\s*", re.IGNORECASE)


def read_question(text: str) -> Query:
    """What is asked with words: what is wanted, not wanted, and what is to follow in a video."""
    steps = [step for step in _THEN.split(text) if step.strip()]
    if len(steps) < 2:
        return read_negation(text)
    first, *rest = [read_negation(step.strip()) for step in steps]
    return replace(first, following=tuple(rest))
