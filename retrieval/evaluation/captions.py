"""Readers of captioned picture sets: tab-separated, Karpathy's splits, COCO captions.

Reads names and texts; opens no picture.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import MmsearchError


class CaptionsError(MmsearchError):
    """A captions file cannot be read, or has nothing to measure on."""


@dataclass(frozen=True)
class CaptionedImage:
    """A picture, by its path below the images folder, and what people wrote for it."""

    name: str
    split: str | None
    captions: tuple[str, ...]


def read_captions(
    file: str | os.PathLike[str], *, split: str | None = None
) -> list[CaptionedImage]:
    """The pictures of a captions file, in order of first mention, kept to `split` where given.

    The format follows from the contents: a table with the columns `image`, `caption` and maybe
    `split`, separated by tabs; a JSON of Karpathy's splits (`images[].sentences[].raw`); or a
    JSON of COCO captions (`images`, `annotations`). Raises CaptionsError.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CaptionsError(f"There is no captions file {path}: check its name.") from error
    except UnicodeDecodeError as error:
        raise CaptionsError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    except OSError as error:
        raise CaptionsError(f"{path} cannot be read: {error.strerror}.") from error
    rows = _json_rows(path, text) if text.lstrip()[:1] in ("{", "[") else _table_rows(path, text)
    return _of_split(path, _grouped(rows), split)


_Row = tuple[str, str | None, str]


def _table_rows(path: Path, text: str) -> Iterator[_Row]:
    # Captions hold stray quotation marks, so none of them means anything.
    reader = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    if "image" not in header or "caption" not in header:
        raise CaptionsError(
            f"{path} is not a captions file: its first line must name the columns image, caption "
            "and, if there is one, split, separated by tabs."
        )
    image, caption = header.index("image"), header.index("caption")
    split = header.index("split") if "split" in header else None
    for number, row in enumerate(reader, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise CaptionsError(
                f"Line {number} of {path} has {len(row)} columns instead of {len(header)}: "
                "separate them by single tabs."
            )
        yield row[image], None if split is None else row[split], row[caption]


def _json_rows(path: Path, text: str) -> Iterator[_Row]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CaptionsError(f"{path} is not valid JSON: {error}.") from error
    try:
        if "annotations" in found:
            yield from _coco_rows(found)
        else:
            yield from _karpathy_rows(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise CaptionsError(
            f"{path} is neither Karpathy's JSON (images, each with filename, split and sentences) "
            "nor COCO captions (images, annotations): give one of these or a table."
        ) from error


def _karpathy_rows(found: dict[str, Any]) -> Iterator[_Row]:
    for image in found["images"]:
        # COCO's pictures lie in a folder for each year, which only `filepath` names.
        folder = image.get("filepath")
        name = f"{folder}/{image['filename']}" if folder else image["filename"]
        for sentence in image["sentences"]:
            yield name, image.get("split"), sentence["raw"]


def _coco_rows(found: dict[str, Any]) -> Iterator[_Row]:
    names = {image["id"]: image["file_name"] for image in found["images"]}
    for annotation in found["annotations"]:
        yield names[annotation["image_id"]], None, annotation["caption"]


def _grouped(rows: Iterable[_Row]) -> list[CaptionedImage]:
    captions: dict[str, list[str]] = {}
    splits: dict[str, str | None] = {}
    for name, split, caption in rows:
        splits.setdefault(name, split)
        if caption.strip():
            captions.setdefault(name, []).append(" ".join(caption.split()))
    return [CaptionedImage(name, splits[name], tuple(texts)) for name, texts in captions.items()]


def _of_split(path: Path, images: list[CaptionedImage], split: str | None) -> list[CaptionedImage]:
    if not images:
        raise CaptionsError(f"{path} has no captions in it: give one line for each.")
    if split is None:
        return images
    kept = [picture for picture in images if picture.split == split]
    if not kept:
        known = sorted({picture.split for picture in images if picture.split})
        there = f"it has {', '.join(known)}" if known else "it names none, so ask for none"
        raise CaptionsError(f"{path} has no split called {split}: {there}.")
    return kept
