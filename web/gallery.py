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
from retrieval.images.thumbnails import jpeg_thumbnail
from retrieval.search.heatmaps import WordHeat, heat_png
from retrieval.search.hit import Hit
from retrieval.storage.paths import show_path

THUMBNAIL_PX = 360


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
                "answers": [_card(answer) for answer in question.answers],
            }
            for question in questions
        ]
    )
    path.write_text(page, encoding="utf-8")


def _card(answer: Answer) -> dict[str, object]:
    hit = answer.hit
    return {
        "rank": hit.rank,
        "score": f"{hit.score:.3f}",
        "name": show_path(Path(hit.path.name)),
        "path": show_path(hit.path),
        "size": f"{hit.width_px} × {hit.height_px}",
        # The frame of a card is 4:3; a picture fills its width or its height.
        "shape": "wide" if 3 * hit.width_px >= 4 * hit.height_px else "tall",
        "aspect": f"{hit.width_px} / {hit.height_px}",
        "thumbnail": _thumbnail(hit.path),
        "like": [show_path(other.path) for other in hit.like],
        "heats": [
            {"word": heat.word, "png": base64.b64encode(heat_png(heat.heat)).decode()}
            for heat in answer.heats
        ],
    }


def _thumbnail(path: Path) -> str | None:
    try:
        return base64.b64encode(jpeg_thumbnail(path, THUMBNAIL_PX)).decode()
    except ImageError:
        return None
