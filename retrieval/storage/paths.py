"""Paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path


def show_path(path: Path) -> str:
    """The path relative to the working folder where that is shorter, safe to print.

    Bytes that are no text, and control characters, come out escaped.
    """
    shown = os.fspath(path)
    try:
        relative = os.path.relpath(path)
    except ValueError:  # Another drive.
        relative = shown
    if len(relative) < len(shown) and not relative.startswith(os.pardir):
        shown = relative
    return "".join(_printable(character) for character in shown)


def _printable(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()
