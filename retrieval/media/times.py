"""Times within a video, as people write them."""

from __future__ import annotations


def clock(time_ms: int) -> str:
    """`00:12:31` for a time within a video; it is rounded down to the second."""
    seconds = max(0, time_ms) // 1000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def at_time(place: str, time_ms: int | None) -> str:
    """`holiday.mp4 @ 00:12:31`: a file's name with the time within it; a picture's name alone."""
    return place if time_ms is None else f"{place} @ {clock(time_ms)}"
