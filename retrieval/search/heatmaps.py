"""Where the words of a question looked, for a terminal, for JSON and for the gallery."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.search.explain import Explanation

_PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
# Words that show nothing; they are left out unless the question has no others.
_SILENT = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "has",
        "have",
        "he",
        "her",
        "his",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "she",
        "that",
        "the",
        "their",
        "them",
        "they",
        "this",
        "to",
        "up",
        "was",
        "while",
        "who",
        "with",
    ]
)


@dataclass(frozen=True)
class WordHeat:
    """Where in a picture a word of the question looks: weights (rows, columns) of any scale.

    The grid covers the whole picture. `found`: whether the word is in the picture at all.
    """

    word: str
    heat: NDArray[np.float32]
    found: bool = True


def word_heats(explanation: Explanation | None) -> tuple[WordHeat, ...]:
    """A heat map for each word that shows something; none without an explanation."""
    if explanation is None:
        return ()
    heats = [
        WordHeat(word, heat, found)
        for word, heat, found in zip(
            explanation.words, explanation.heat, explanation.found, strict=True
        )
    ]
    telling = [heat for heat in heats if heat.word not in _SILENT]
    return tuple(telling or heats)


def where_line(explanation: Explanation | None) -> str:
    """`dog: left · beach: not found`: the third of the picture that each word looked at most."""
    return " · ".join(
        f"{heat.word}: {place(heat.heat) if heat.found else 'not found'}"
        for heat in word_heats(explanation)
    )


def heat_records(explanation: Explanation | None) -> list[dict[str, Any]] | None:
    """The heat maps as JSON takes them: rows from top to bottom, each word's summing to one."""
    if explanation is None:
        return None
    return [
        {
            "word": word,
            "found": found,
            "presence": round(float(presence), 4),
            "grid": [[round(float(value), 4) for value in row] for row in heat],
        }
        for word, heat, presence, found in zip(
            explanation.words,
            explanation.heat,
            explanation.presence,
            explanation.found,
            strict=True,
        )
    ]


def place(heat: NDArray[np.float32]) -> str:
    """The third of the picture, across and down, with the most heat."""
    thirds = np.array(
        [
            [block.mean() for block in np.array_split(rows, 3, axis=1)]
            for rows in np.array_split(heat, 3, axis=0)
        ]
    )
    row, column = divmod(int(thirds.argmax()), 3)
    return _PLACES[row][column]


def heat_png(heat: NDArray[np.float32]) -> bytes:
    """Weights (rows, columns), of any scale, as a PNG that is the more opaque the hotter.

    A page stretches it over the picture, which smooths it.
    """
    low, high = float(heat.min()), float(heat.max())
    share = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    pixels = np.empty((*heat.shape, 4), np.uint8)
    pixels[..., :3] = (255, 90, 0)
    pixels[..., 3] = np.round(share * 190)
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, "PNG", optimize=True)
    return out.getvalue()
