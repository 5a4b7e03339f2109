"""A web page of questions and their answers that needs no other file and no network.

Thumbnails and heat maps are embedded in it; every name is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader

from retrieval.errors import ImageError
from retrieval.media.thumbnails import item_thumbnail
from retrieval.media.times import at_time, clock
from retrieval.paths import show_path
from retrieval.search.folded import folded_in_words
from retrieval.search.heatmaps import WordHeat, heat_png
from retrieval.search.hit import Hit

THUMBNAIL_PX = 360
# Of the moments of a video below its best one.
STRIP_PX = 120
STRIP_MOMENTS = 12


@dataclass(frozen=True)
class Answer:
    """A hit, and where the words found what they mean; no heats where nothing explains it."""

    hit: Hit
    heats: tuple[WordHeat, ...] = ()


@dataclass(frozen=True)
class Question:
    """What was asked, and the answers, best first; `note` is a sentence that stands over them."""

    text: str
    answers: tuple[Answer, ...]
    note: str = ""


def write_gallery(path: Path, questions: Sequence[Question]) -> None:
    """Write the page. A picture that can no longer be read is named without a thumbnail.

    Raises OSError where the file cannot be written.
    """
    template = Environment(
        loader=PackageLoader("web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("gallery.html")
    page = template.render(
        questions=[
            {
                "text": question.text,
                "note": question.note,
                "words": _words(question.answers),
                "fitting": [_card(own) for own in question.answers if own.hit.fits is not False],
                "weak": [_card(own) for own in question.answers if own.hit.fits is False],
            }
            for question in questions
        ]
    )
    path.write_text(page, encoding="utf-8")


def _words(answers: Sequence[Answer]) -> list[str]:
    """The words that any answer has a heat map of, each once, in their order."""
    return list(dict.fromkeys(heat.word for answer in answers for heat in answer.heats))


def _card(answer: Answer) -> dict[str, object]:
    hit = answer.hit
    return {
        "rank": hit.rank,
        "score": f"{hit.score:.3f}",
        "name": at_time(show_path(Path(hit.path.name)), hit.time_ms),
        "path": show_path(hit.path),
        "link": _link(hit, hit.time_ms),
        "is_video": hit.time_ms is not None,
        "relevance": None if hit.relevance is None else round(100 * hit.relevance),
        "taken": "" if hit.taken_at is None else f"{hit.taken_at:%Y-%m-%d}",
        # Panoramas and strips would leave nothing of a row to others.
        "aspect": f"{min(3.0, max(0.5, hit.width_px / max(1, hit.height_px))):.4f}",
        "thumbnail": _thumbnail(hit.path, hit.time_ms),
        "folded": folded_in_words(hit).strip(),
        "strip": _strip(hit),
        "like": [at_time(show_path(other.path), other.time_ms) for other in hit.like],
        "captions": hit.captions,
        "heats": [
            {
                "word": heat.word,
                "found": heat.found,
                "png": base64.b64encode(heat_png(heat.heat)).decode() if heat.found else "",
            }
            for heat in answer.heats
        ],
    }


def _strip(hit: Hit) -> list[dict[str, str | None]]:
    """The moments of a video that are one answer, in their order, the first ones of many."""
    times = {one.time_ms for one in (hit, *hit.like) if one.path == hit.path}
    in_order = sorted(time_ms for time_ms in times if time_ms is not None)
    if len(in_order) < 2:
        return []
    return [
        {
            "time": clock(time_ms),
            "link": _link(hit, time_ms),
            "thumbnail": _thumbnail(hit.path, time_ms, STRIP_PX),
        }
        for time_ms in in_order[:STRIP_MOMENTS]
    ]


def _link(hit: Hit, time_ms: int | None) -> str:
    """The address of the file; of a video, at a time (Media Fragments URI)."""
    if not hit.path.is_absolute():
        return ""
    moment = "" if time_ms is None else f"#t={time_ms / 1000:.3f}"
    return hit.path.as_uri() + moment


def _thumbnail(path: Path, time_ms: int | None, side_px: int = THUMBNAIL_PX) -> str | None:
    try:
        return base64.b64encode(item_thumbnail(path, time_ms, side_px)).decode()
    except ImageError:
        return None
