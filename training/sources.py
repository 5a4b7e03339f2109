"""The folders that training reads (see `training/README.md`), as lists of pictures and texts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data import (
    Labelled,
    Picture,
    hold_out,
    of_split,
    read_labelled,
    read_pictures,
    tidy,
)
from training.wordnet import read_synsets, texts

_WELL_TOLD = 3


@dataclass(frozen=True)
class Sources:
    """The pictures that are learnt from and those that are held out."""

    learnt: list[Picture]
    held: list[Picture]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures: those that are learnt from come first."""
        return [*self.learnt, *self.held]


def read_sources(data: Path, seed: int) -> Sources:
    """The pictures below `data`; what is absent is left out."""
    found = read_captioned(data, seed)
    named = [_named(item) for item in read_labelled(data / "imagenet_samples")]
    return Sources([*found.learnt, *named], found.held)


def read_captioned(data: Path, seed: int) -> Sources:
    """Of these pictures those that people described."""
    flickr = data / "flickr8k"
    pictures = _of(flickr / "captions.tsv", flickr / "images")
    kept, held = hold_out(of_split(pictures, "train"), min(500, len(pictures) // 10), seed)
    own = of_split(pictures, "train")
    learnt = [own[i] for i in kept] + of_split(pictures, "extra")
    aside = [own[i] for i in held]
    coco = _of(data / "coco" / "captions.tsv", data / "coco" / "images")
    told = [picture for picture in coco if len(picture.captions) >= 5]
    _, chosen = hold_out(told, min(400, len(told) // 8), seed)
    names = {told[i].path for i in chosen}
    aside += [picture for picture in coco if picture.path in names]
    learnt += [picture for picture in coco if picture.path not in names]
    single = data / "coco_one_caption"
    learnt += _of(single / "captions.tsv", single / "images")
    return Sources(learnt, aside)


def general_texts(wordnet: Path, count: int, seed: int) -> list[str]:
    """So many texts of English at large, drawn from WordNet; none without it."""
    found = texts(read_synsets(wordnet))
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    return [found[i] for i in sorted(chosen.tolist())]


def unseen_captions(data: Path) -> list[list[str]]:
    """English captions of pictures not at hand, those of one together; none without the file."""
    file = data / "multi30k" / "descriptions_en_de.tsv"
    if not file.exists():
        return []
    groups: dict[str, list[str]] = {}
    for row in _rows(file):
        if row["lang"] == "en":
            groups.setdefault(row["flickr_id"], []).append(tidy(row["caption"]))
    return list(groups.values())


def is_well_told(picture: Picture) -> bool:
    """Whether a picture has captions enough for what they do not name to be absent."""
    return len(picture.captions) >= _WELL_TOLD


def _of(captions: Path, images: Path) -> list[Picture]:
    return read_pictures(captions, images) if captions.exists() else []


def _named(item: Labelled) -> Picture:
    names = [name.strip() for name in item.class_name.split(",")]
    return Picture(item.path, "train", (f"a photo of a {names[0]}", names[-1]))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
