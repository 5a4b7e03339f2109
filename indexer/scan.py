"""Walking a folder: which picture files are there, how large, how old. Opens no file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.errors import PictureError
from retrieval.pictures import SUFFIXES


@dataclass(frozen=True)
class ScannedFile:
    """A picture file by its name. `path` is relative to the root, with /."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass
class Scan:
    """What lies below a folder.

    `failures` maps paths, relative to the root, to what kept them from being looked at: below
    those, nothing is known. `is_empty` means that the folder had no entry of any sort.
    """

    files: list[ScannedFile] = field(default_factory=list)
    failures: dict[str, PictureError] = field(default_factory=dict)
    is_empty: bool = False


def scan(root: Path, below: str = "") -> Scan:
    """All picture files of a root, or of a folder or single file `below` it.

    Hidden files and folders are passed over. Symbolic links are followed; a folder is entered
    once, and one that leads back into itself is noted as a failure of kind `loop`.
    """
    found = Scan()
    start = os.path.join(root, below) if below else os.fspath(root)  # noqa: PTH118
    if os.path.isfile(start):  # noqa: PTH113
        facts = os.stat(start)  # noqa: PTH116
        found.files.append(ScannedFile(below, facts.st_size, facts.st_mtime_ns))
        return found
    try:
        identity = _identity(start)
    except OSError:
        return found
    _walk(start, below, found, ancestors=(identity,), entered={identity})
    found.is_empty = not found.files and not found.failures and not any(os.scandir(start))
    return found


def _walk(
    folder: str,
    relative: str,
    found: Scan,
    ancestors: tuple[tuple[int, int], ...],
    entered: set[tuple[int, int]],
) -> None:
    try:
        with os.scandir(folder) as entries:
            listing = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.failures[relative] = PictureError(
            "unreadable", f"the folder cannot be read ({error.strerror})"
        )
        return
    for entry in listing:
        if entry.name.startswith("."):
            continue
        path = f"{relative}/{entry.name}" if relative else entry.name
        try:
            if entry.is_dir():
                _enter(entry, path, found, ancestors, entered)
            elif _has_picture_suffix(entry.name) and entry.is_file():
                facts = entry.stat()
                found.files.append(ScannedFile(path, facts.st_size, facts.st_mtime_ns))
        except OSError as error:
            found.failures[path] = PictureError("unreadable", f"it cannot be read ({error})")


def _enter(
    entry: os.DirEntry[str],
    path: str,
    found: Scan,
    ancestors: tuple[tuple[int, int], ...],
    entered: set[tuple[int, int]],
) -> None:
    identity = _identity(entry.path)
    if identity in ancestors:
        found.failures[path] = PictureError("loop", "the link leads back to a folder above it")
    elif identity not in entered:
        entered.add(identity)
        _walk(entry.path, path, found, (*ancestors, identity), entered)


def _identity(folder: str) -> tuple[int, int]:
    facts = os.stat(folder)  # noqa: PTH116 - strings are several times faster than Path here
    return facts.st_dev, facts.st_ino


def _has_picture_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122
