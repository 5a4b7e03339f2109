"""How things are written to a terminal or a pipe: paths, sizes, counts, JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click


def write_raw_path(path: Path, end: str) -> None:
    """The path as its bytes on disk, for programs that read it."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + end.encode())
    sys.stdout.buffer.flush()


def write_json(value: Any) -> None:
    """One JSON document; bytes of paths that are no text come out as U+DC80 to U+DCFF."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def size(size_bytes: int) -> str:
    """`12.3 MB`, in powers of ten."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`1 picture`, `2,000 pictures`."""
    noun = singular if number == 1 else plural or singular + "s"
    return f"{number:,} {noun}"
