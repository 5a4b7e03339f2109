"""Sentences in several languages with what they are paired with: an English sentence or a picture.

Reads the folder that `training/README.md` describes; knows nothing of models.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data import tidy

LANGUAGES = ("de", "fr", "cs")


@dataclass(frozen=True)
class Sentence:
    """A sentence, its language, and the sentence in English and the picture that it goes with.

    `english` is None where only the picture is known, `image`, a file's name, where only the
    translation is.
    """

    text: str
    language: str
    english: str | None = None
    image: str | None = None


def read_parallel(data: Path, images: dict[str, str]) -> list[Sentence]:
    """Sentences with their English; `images` gives a picture's name by its Flickr id."""
    return [
        Sentence(tidy(row[language]), language, tidy(row["en"]), images.get(row["flickr_id"]))
        for row in _rows(data / "multi30k" / "parallel.tsv")
        for language in LANGUAGES
        if row[language].strip()
    ]


def read_captions(data: Path, split: str, kinds: str = "") -> list[Sentence]:
    """Captions of the pictures of a split, `train` or `dev`, of kinds that begin with `kinds`.

    `task1` are translations of an English caption, `task2` were written before the picture.
    """
    return [
        Sentence(tidy(row["caption"]), row["lang"], image=row["image"])
        for row in _rows(data / "multi30k" / "flickr8k_captions.tsv")
        if row["split"] == split and row["lang"] in LANGUAGES and row["kind"].startswith(kinds)
    ]


def by_flickr_id(names: list[str]) -> dict[str, str]:
    """Pictures' names by the id that they begin with."""
    return {name.split("_")[0]: name for name in names}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
