"""Rows of a table as pictures: columns by the names of facts, and as others call them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from indexer.importing.source import ForeignPicture
from retrieval.images.facts import ImageMetadata

if TYPE_CHECKING:
    import pyarrow as pa

NAME_COLUMNS = ("path", "image_path", "filepath", "key", "url")
VECTOR_COLUMNS = ("embedding", "vector", "image_embedding")
_FACTS = {fact.name: fact.name for fact in fields(ImageMetadata)}
_ALIASES = {"TEXT": "caption", "text": "caption"}
_WIDTHS = ("width_px", "original_width", "width")
_HEIGHTS = ("height_px", "original_height", "height")
_NUMBERS = {
    "focal_length_mm": float, "focal_length_35mm": float, "aperture": float, "exposure_s": float,
    "latitude": float, "longitude": float, "altitude_m": float,
    "iso": int, "orientation": int, "rating": int,
}  # fmt: skip


def name_column(columns: list[str]) -> str | None:
    """The column that names the pictures."""
    return next((name for name in NAME_COLUMNS if name in columns), None)


def known_columns(columns: list[str]) -> list[str]:
    """Those of the columns that say something that is kept."""
    wanted = {*NAME_COLUMNS, *_FACTS, *_ALIASES, *_WIDTHS, *_HEIGHTS, "size_bytes", "mtime_ns"}
    return [name for name in columns if name in wanted]


def pictures(table: pa.RecordBatch, named_by: str) -> Iterator[ForeignPicture]:
    """The rows as pictures; a value that makes no sense counts as not there."""
    columns = {name: table.column(name).to_pylist() for name in table.schema.names}
    facts_of = {name: _FACTS.get(name) or _ALIASES.get(name) for name in columns}
    told = {column: fact for column, fact in facts_of.items() if fact}
    for place, name in enumerate(columns[named_by]):
        row = {column: values[place] for column, values in columns.items()}
        yield ForeignPicture(
            str(name),
            metadata_of({fact: row[column] for column, fact in told.items()}),
            _first(row, _WIDTHS),
            _first(row, _HEIGHTS),
            _whole(row.get("size_bytes")),
            _whole(row.get("mtime_ns")),
        )


def metadata_of(values: Mapping[str, Any]) -> ImageMetadata:
    """Facts by name, as they come; what is of no use for a fact is left out."""
    facts = {
        name: fact for name, value in values.items() if (fact := _fact(name, value)) is not None
    }
    if ("latitude" in facts) != ("longitude" in facts):
        facts.pop("latitude", None)
        facts.pop("longitude", None)
    return ImageMetadata(**facts)


def _fact(name: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    try:
        if name == "taken_at":
            when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            return when.replace(tzinfo=None)
        if name == "keywords":
            return tuple(dict.fromkeys(str(one) for one in value)) or None
        if name in _NUMBERS:
            number = float(value)
            return _NUMBERS[name](number) if math.isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return str(value)


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return next((number for name in names if (number := _whole(row.get(name)))), 0)


def _whole(value: Any) -> int:
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError, OverflowError):
        return 0
