"""Paths as people write and read them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with `~` and `~NAME` as that user's home; as it stands where there is none.

    A file may be called `~$letter.docx` or `~1.jpg`: `Path.expanduser` raises for these, a shell
    takes them as they are.
    """
    try:
        return Path(os.path.expanduser(path))  # noqa: PTH111
    except ValueError:  # A name that no user can have, such as one with a null byte.
        return Path(path)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the top, `~` and `..` resolved.

    Symbolic links stay as they were given, as the catalogue keeps them.
    """
    return Path(os.path.abspath(expanded(path)))  # noqa: PTH100


def relative_path(address: str) -> str:
    """A path or an address of elsewhere as a relative path with /, which leads nowhere upwards."""
    parts = [part for part in address.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


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


def is_folder(path: Path) -> bool:
    """Whether a folder is there. Unlike `Path.is_dir` it bears names that are too long for one."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether a file is there, whatever its name, as `is_folder`."""
    return os.path.isfile(path)  # noqa: PTH113
