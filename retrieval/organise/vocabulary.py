"""Things that pictures show, by common names: what themes are named by, and labels weighed against.

The list is `things.txt` beside this module; its vectors are made with an index's own text tower.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

from retrieval.encoders.base import TextEncoder, Vectors

_FILE = Path(__file__).parent / "things.txt"
_ARTICLE = re.compile(r"^(?:an?|the) ")
_TEXTS_AT_ONCE = 64


@cache
def things() -> tuple[str, ...]:
    """The names, with their articles, as a caption has them."""
    lines = _FILE.read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def without_article(thing: str) -> str:
    """`dog` for `a dog`."""
    return _ARTICLE.sub("", thing)


def encoded(texts: tuple[str, ...], encoder: TextEncoder) -> Vectors:
    """The vectors of texts, (n, dim)."""
    parts = [
        encoder.encode_texts(texts[start : start + _TEXTS_AT_ONCE]).vectors
        for start in range(0, len(texts), _TEXTS_AT_ONCE)
    ]
    return np.concatenate([np.empty((0, encoder.space.dim), np.float32), *parts])
