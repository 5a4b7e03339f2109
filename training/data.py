"""Photographs and captions as training sees them: lists of pictures, pixels at one size.

Reads the folders described in `training/README.md`; knows nothing of networks.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A photograph, the split it belongs to and the captions people wrote for it."""

    path: Path
    split: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Labelled:
    """A photograph with the name of its ImageNet class."""

    path: Path
    class_index: int
    class_name: str


def read_pictures(captions_file: Path, images: Path) -> list[Picture]:
    """The pictures of a captions file (columns image, caption and maybe split), in order."""
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for row in _rows(captions_file):
        splits.setdefault(row["image"], row.get("split") or "train")
        captions.setdefault(row["image"], []).append(tidy(row["caption"]))
    return [Picture(images / name, splits[name], tuple(texts)) for name, texts in captions.items()]


def read_labelled(folder: Path) -> list[Labelled]:
    """The pictures of `labels.tsv` (columns image, class, name) in `folder`; none if absent."""
    labels = folder / "labels.tsv"
    if not labels.exists():
        return []
    return [
        Labelled(folder / "images" / row["image"], int(row["class"]), row["name"])
        for row in _rows(labels)
    ]


def tidy(caption: str) -> str:
    """The caption without the tokenised full stop and with single spaces."""
    return " ".join(caption.split()).removesuffix(" .").removesuffix(".").strip()


def of_split(pictures: Iterable[Picture], *splits: str) -> list[Picture]:
    """The pictures that belong to one of the splits."""
    return [picture for picture in pictures if picture.split in splits]


def hold_out(pictures: Sequence[Picture], count: int, seed: int) -> tuple[list[int], list[int]]:
    """Positions (kept, held out): `count` of them drawn by `seed`, both ascending."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    return sorted(order[count:].tolist()), sorted(order[:count].tolist())


def squash(path: Path, size_px: int) -> Pixels:
    """The picture resized to a square without keeping its proportions, (S, S, 3) RGB."""
    with Image.open(path) as image:
        resized = image.convert("RGB").resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices that cover `range(count)` in steps of `size`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
