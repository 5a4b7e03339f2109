"""Labels of one's own: which of them fit which pictures, by words alone (zero-shot).

A cosine of words and a picture means little by itself. So of each picture a label is weighed
against what six hundred common things score there: it fits where it stands out from them, by so
many standard deviations, as test normalisation does in speaker verification (Auckenthaler, Carey
and Lloyd-Thomas, Score normalization for text-independent speaker verification systems, 2000). A
label that fits nothing stands out nowhere, and no number is tied to one model's scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import TextEncoder, Vectors
from retrieval.errors import LabelError
from retrieval.organise.kept_vectors import KeptVectors
from retrieval.organise.vocabulary import encoded, things, without_article
from retrieval.vectors.base import Ids

# Measured on captioned pictures, see `benchmarks/tagging.py`.
DEFAULT_THRESHOLD = 3.0
_TEMPLATES = ("{}", "a photo of a {}")
_BLOCK = 16_384


@dataclass(frozen=True)
class Label:
    """A name, and the phrases for what it means; any of them is enough."""

    name: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Fitting:
    """Where a label fits: item ids, (n,) ascending, and by how many deviations, float32 (n,)."""

    label: Label
    ids: Ids
    scores: NDArray[np.float32]


def read_labels(path: Path) -> list[Label]:
    """The labels of a text file: one a line, `label` or `label: phrase | phrase`.

    Empty lines, and those that begin with #, are passed over. Raises LabelError where the file
    cannot be read, holds no label, or a line is none; it names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} is no text in UTF-8: save it as such.") from error
    labels: dict[str, Label] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, rest = (part.strip() for part in line.partition(":"))
        phrases = tuple(phrase.strip() for phrase in rest.split("|")) if colon else (name,)
        if not name or not all(phrases):
            raise LabelError(
                f"Line {number} of {path} is no label: write `label`, or `label: phrase | phrase`."
            )
        if name.lower() in labels:
            raise LabelError(
                f"Line {number} of {path} names {name} again: put its phrases into one line, "
                "with | between them."
            )
        labels[name.lower()] = Label(name, phrases)
    if not labels:
        raise LabelError(f"{path} holds no labels: write one a line.")
    return list(labels.values())


def fitting(
    labels: Sequence[Label],
    kept: KeptVectors,
    encoder: TextEncoder,
    threshold: float = DEFAULT_THRESHOLD,
) -> list[Fitting]:
    """For each label the items that it stands out on by `threshold` deviations and more."""
    common = _meanings(things(), encoder)
    phrases = [phrase for label in labels for phrase in label.phrases]
    meanings = _meanings(phrases, encoder)
    # Of each label the first of its phrases.
    firsts = np.cumsum([0, *(len(label.phrases) for label in labels)])[:-1]
    found: list[list[tuple[Ids, NDArray[np.float32]]]] = [[] for _ in labels]
    for start in range(0, len(kept), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = standing_out(kept.vectors[block].astype(np.float32), meanings, common)
        best = np.maximum.reduceat(scores, firsts, axis=1)
        for place in range(len(labels)):
            rows = np.flatnonzero(best[:, place] >= threshold)
            found[place].append((kept.ids[block][rows], best[rows, place]))
    nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
    return [
        Fitting(
            label,
            np.concatenate([nothing[0], *(ids for ids, _ in parts)]),
            np.concatenate([nothing[1], *(scores for _, scores in parts)]),
        )
        for label, parts in zip(labels, found, strict=True)
    ]


def standing_out(pictures: Vectors, phrases: Vectors, common: Vectors) -> NDArray[np.float32]:
    """By how many deviations of what common things score each phrase stands out, (n, phrases).

    `pictures` (n, dim), `phrases` and `common` are unit vectors.
    """
    usual = pictures @ common.T
    mean = usual.mean(axis=1, keepdims=True)
    spread = np.maximum(usual.std(axis=1, keepdims=True), 1e-6)
    out: NDArray[np.float32] = (pictures @ phrases.T - mean) / spread
    return out


def _meanings(phrases: Sequence[str], encoder: TextEncoder) -> Vectors:
    """Unit vectors, (n, dim), of phrases: the mean of what they are in some sentences."""
    bare = [without_article(phrase) for phrase in phrases]
    total = np.sum(
        [
            encoded(tuple(template.replace("{}", phrase) for phrase in bare), encoder)
            for template in _TEMPLATES
        ],
        axis=0,
    )
    unit: Vectors = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-6)
    return unit
