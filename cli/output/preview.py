"""What an indexing run would do, for a person and for a program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.paths import show_path

if TYPE_CHECKING:
    from indexer import IndexPreview

# So many of each sort are named; --json names all.
NAMED = 5


def preview_lines(preview: IndexPreview) -> list[str]:
    """The counts, then the first paths of each sort that is not empty."""
    sorts = {
        "new": [show_path(path) for path in preview.new],
        "changed": [show_path(path) for path in preview.changed],
        "moved": [f"{show_path(old)} -> {show_path(new)}" for old, new in preview.moved],
        "removed": [show_path(path) for path in preview.removed],
    }
    counts = {kind: len(shown) for kind, shown in sorts.items()}
    counts |= {"unchanged": preview.unchanged, "failed": preview.failed}
    parts = [f"{number:,} {kind}" for kind, number in counts.items() if number]
    lines = [f"A run would find: {', '.join(parts) or 'no images'}. Nothing was changed."]
    for kind, shown in sorts.items():
        lines += _some(kind, shown)
    return lines + [
        f"Not there at present, its pictures would be kept: {show_path(root)}"
        for root in preview.absent_roots
    ]


def preview_record(preview: IndexPreview) -> dict[str, object]:
    """The counts under the names that a run's summary has, and all paths; as JSON takes it."""
    return {
        "dry_run": True,
        "new": len(preview.new),
        "changed": len(preview.changed),
        "moved": len(preview.moved),
        "removed": len(preview.removed),
        "unchanged": preview.unchanged,
        "failed": preview.failed,
        "absent_roots": _texts(preview.absent_roots),
        "paths": {
            "new": _texts(preview.new),
            "changed": _texts(preview.changed),
            "moved": [{"from": str(old), "to": str(new)} for old, new in preview.moved],
            "removed": _texts(preview.removed),
        },
    }


def _some(kind: str, shown: Sequence[str]) -> list[str]:
    if not shown:
        return []
    lines = [f"{kind}:", *(f"    {one}" for one in shown[:NAMED])]
    if len(shown) > NAMED:
        lines.append(f"    and {len(shown) - NAMED:,} more")
    return lines


def _texts(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]
