"""Answers as notebooks show them: a card for one, a grid for a list.

Thumbnails are embedded, so that a saved notebook shows them; every name is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ImageError
from retrieval.media.times import at_time
from retrieval.paths import show_path
from retrieval.search.folded import folded_in_words

if TYPE_CHECKING:
    from retrieval.search.hit import Hit

THUMBNAIL_PX = 200
# A longer list says how many more there are.
MOST_CARDS = 60


def card(hit: Hit) -> str:
    """One answer as HTML: its thumbnail, its name, its score."""
    name = escape(at_time(show_path(Path(hit.path.name)), hit.time_ms))
    path = escape(show_path(hit.path), quote=True)
    return (
        f'<figure style="margin:0;width:{THUMBNAIL_PX}px" title="{path}">'
        f'<div style="height:{THUMBNAIL_PX}px;display:grid;place-items:center">{_image(hit)}</div>'
        '<figcaption style="font-size:.85em;overflow-wrap:anywhere">'
        f"{hit.rank}. {name}<br>score {hit.score:.3f}{_captions(hit)}{_folded(hit)}"
        "</figcaption></figure>"
    )


def grid(hits: Iterable[Hit]) -> str:
    """Answers side by side as HTML."""
    answers = list(hits)
    if not answers:
        return "<p>No picture was found.</p>"
    cards = "".join(card(hit) for hit in answers[:MOST_CARDS])
    rest = len(answers) - MOST_CARDS
    more = f"<p>and {rest:,} more</p>" if rest > 0 else ""
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{cards}</div>{more}'


def _image(hit: Hit) -> str:
    # Here, since a list of answers that nobody looks at needs no Pillow.
    from retrieval.media.thumbnails import item_thumbnail

    try:
        data = base64.b64encode(item_thumbnail(hit.path, hit.time_ms, THUMBNAIL_PX)).decode()
    except ImageError:
        return "<span>The file can no longer be read.</span>"
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _captions(hit: Hit) -> str:
    return "".join(f"<br><i>{escape(caption.text)}</i>" for caption in hit.captions)


def _folded(hit: Hit) -> str:
    return f"<br>{folded_in_words(hit).strip()}" if hit.like else ""
