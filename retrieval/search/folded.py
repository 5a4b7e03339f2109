"""What is folded into an answer, in words."""

from __future__ import annotations

from retrieval.media.times import clock
from retrieval.search.hit import Hit


def folded_in_words(hit: Hit) -> str:
    """`  +2 moments, 00:00:04 to 00:12:31`, `  +3 like this`, or nothing, to follow its name."""
    if not hit.like:
        return ""
    span_ms = hit.span_ms
    if span_ms is None or any(other.path != hit.path for other in hit.like):
        return f"  +{len(hit.like)} like this"
    what = "moment" if len(hit.like) == 1 else "moments"
    return f"  +{len(hit.like)} {what}, {clock(span_ms[0])} to {clock(span_ms[1])}"
