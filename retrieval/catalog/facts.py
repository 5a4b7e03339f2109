"""The facts of a picture's file as rows: which of them are columns, texts and tags.

A fact of `ImageMetadata` is a column of `items` of the same name unless it is listed here, so that
reading and writing it needs no line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from retrieval.catalog.records import ModelCaption
from retrieval.images.facts import ImageMetadata

TEXT_KINDS = ("title", "caption", "creator", "copyright", "url")
KEYWORDS = "keywords"
# A caption that a model wrote is a text of the kind `caption by NAME`, beside the file's own.
_CAPTION_BY = "caption by "
CAPTIONS_BY_MODELS = f"{_CAPTION_BY}%"
# The source of tags that stand in the file itself.
FROM_FILE = "file"
# That of tags that labels were found to fit, each with its score.
FROM_LABELS = "labels"
# That of tags that people gave to single pictures.
FROM_PEOPLE = "people"
COLUMNS = tuple(
    field.name
    for field in fields(ImageMetadata)
    if field.name not in TEXT_KINDS and field.name != KEYWORDS
)


def caption_kind(model: str) -> str:
    """The kind of the texts that are captions by a model of this name."""
    return _CAPTION_BY + model


def captioned_by(kind: str) -> str | None:
    """The name of the model whose captions are texts of this kind; None for other texts."""
    return kind.removeprefix(_CAPTION_BY) if kind.startswith(_CAPTION_BY) else None


def column_values(metadata: ImageMetadata) -> dict[str, Any]:
    """The facts that are columns of `items`, by column."""
    return {name: getattr(metadata, name) for name in COLUMNS}


def text_rows(item_id: int, metadata: ImageMetadata) -> list[dict[str, Any]]:
    """The rows of `texts`."""
    return [
        {"item_id": item_id, "kind": kind, "language": "", "text": getattr(metadata, kind)}
        for kind in TEXT_KINDS
        if getattr(metadata, kind)
    ]


def tag_rows(item_id: int, metadata: ImageMetadata) -> list[dict[str, Any]]:
    """The rows of `tags`."""
    return [
        {"item_id": item_id, "tag": tag, "source": FROM_FILE, "score": None}
        for tag in dict.fromkeys(metadata.keywords)
    ]


def captions_from_rows(texts: dict[str, str]) -> tuple[ModelCaption, ...]:
    """Captions by models among texts by kind, in the order of the models' names."""
    named = ((captioned_by(kind), text) for kind, text in sorted(texts.items()))
    return tuple(ModelCaption(model, text) for model, text in named if model is not None)


def from_rows(
    columns: dict[str, Any], texts: dict[str, Any], keywords: Iterable[str]
) -> ImageMetadata:
    """The facts again: columns by name, texts by kind, and the keywords in any order."""
    texts = {kind: text for kind, text in texts.items() if kind in TEXT_KINDS}
    return ImageMetadata(**columns, **texts, keywords=tuple(sorted(keywords)))
