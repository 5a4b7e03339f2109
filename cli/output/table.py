"""Answers as a table for spreadsheets: comma-separated values with a line of names, in UTF-8."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from typing import Any

from cli.output.records import hit_record
from retrieval.search.hit import Hit

# What of a file's facts is worth a column.
_FACTS = (
    "camera_make", "camera_model", "lens", "latitude", "longitude", "rating", "title", "caption",
    "keywords",
)  # fmt: skip


def write_csv(hits: Sequence[Hit]) -> None:
    """Print the table; keywords are joined by semicolons."""
    out = io.StringIO()
    rows = [_row(hit) for hit in hits]
    table = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    sys.stdout.flush()
    # Paths that are no text come out as their own bytes, as they do with --paths.
    sys.stdout.buffer.write(out.getvalue().encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


_COLUMNS = (
    "rank", "score", "similarity", "word_score", "relevance", "fits", "path", "time",
    "width_px", "height_px", "taken_at", *_FACTS,
)  # fmt: skip


def _row(hit: Hit) -> dict[str, Any]:
    record = hit_record(hit)
    facts = record.pop("metadata")
    facts["keywords"] = ";".join(facts.get("keywords", ()))
    return {name: (record | facts).get(name) for name in _COLUMNS}
