"""Walking a folder: which picture files are there, how large, how old. Opens no file."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from retrieval.errors import ImageError
from retrieval.images.decode import SUFFIXES

_Identity = tuple[int, int]


class ScannedFile(NamedTuple):
    """A picture file by its name. `path` is relative to the root, with /."""

    # A tuple, since a re-scan is mostly the making of these.
    path: str
    size_bytes: int
    mtime_ns: int


@dataclass
class Scan:
    """What lies below a folder.

    `failures` maps paths, relative to the root, to what kept them from being looked at: below
    those, nothing is known. `is_empty` means that the folder had no entry of any sort. `disks` are
    folders that lie on another disk than the folder they are in; "" is the folder itself.
    """

    files: list[ScannedFile] = field(default_factory=list)
    failures: dict[str, ImageError] = field(default_factory=dict)
    is_empty: bool = False
    disks: list[str] = field(default_factory=list)


def scan(root: Path, below: str = "") -> Scan:
    """All picture files of a root, or of a folder or single file `below` it, in a fixed order.

    Hidden files and folders are passed over. Symbolic links are followed, those to folders after
    everything else: a folder is entered once, under its own name where it has one here. A link
    that leads back to a folder above it is noted as a failure of kind `loop`.
    """
    found = Scan()
    start = os.path.join(root, below) if below else os.fspath(root)  # noqa: PTH118
    try:
        if os.path.isfile(start):  # noqa: PTH113
            facts = os.stat(start)  # noqa: PTH116
            found.files.append(ScannedFile(below, facts.st_size, facts.st_mtime_ns))
            return found
        _Walk(found).run(start, below)
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        found.failures[below] = _unreadable(error)
        return found
    found.files.sort(key=lambda file: file.path)
    return found


@dataclass(frozen=True)
class _Folder:
    """A folder to look into. `above` identifies it and every folder on the way to it."""

    path: str
    relative: str
    above: tuple[_Identity, ...]


class _Walk:
    """One walk down from a folder; a queue in place of recursion, so that depth has no bound."""

    def __init__(self, found: Scan) -> None:
        self._found = found
        self._entered: set[_Identity] = set()
        self._folders: deque[_Folder] = deque()
        self._links: deque[_Folder] = deque()

    def run(self, start: str, relative: str) -> None:
        identity = _identity(start)
        self._entered.add(identity)
        if identity[0] != _identity(os.path.join(start, os.pardir))[0]:  # noqa: PTH118
            self._found.disks.append(relative)
        self._look_into(_Folder(start, relative, (identity,)))
        self._found.is_empty = not self._found.failures and not any(os.scandir(start))
        while self._folders or self._links:
            if self._folders:
                self._look_into(self._folders.popleft())
            else:
                self._enter(self._links.popleft())

    def _look_into(self, folder: _Folder) -> None:
        try:
            with os.scandir(folder.path) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._found.failures[folder.relative] = _unreadable(error)
            return
        for entry in listing:
            if entry.name.startswith("."):
                continue
            path = f"{folder.relative}/{entry.name}" if folder.relative else entry.name
            try:
                self._look_at(entry, path, folder)
            except OSError as error:
                self._found.failures[path] = _unreadable(error)

    def _look_at(self, entry: os.DirEntry[str], path: str, folder: _Folder) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._enter(_Folder(entry.path, path, folder.above))
        elif _has_image_suffix(entry.name) and entry.is_file():
            facts = entry.stat()
            self._found.files.append(ScannedFile(path, facts.st_size, facts.st_mtime_ns))
        elif entry.is_symlink() and entry.is_dir():
            self._links.append(_Folder(entry.path, path, folder.above))

    def _enter(self, folder: _Folder) -> None:
        try:
            identity = _identity(folder.path)
        except OSError as error:
            self._found.failures[folder.relative] = _unreadable(error)
            return
        if identity in folder.above:
            self._found.failures[folder.relative] = ImageError(
                "loop", "the link leads back to a folder above it"
            )
        elif identity not in self._entered:
            self._entered.add(identity)
            if identity[0] != folder.above[-1][0]:
                self._found.disks.append(folder.relative)
            self._folders.append(_Folder(folder.path, folder.relative, (*folder.above, identity)))


def _identity(folder: str) -> _Identity:
    facts = os.stat(folder)  # noqa: PTH116 - strings are several times faster than Path here
    return facts.st_dev, facts.st_ino


def _has_image_suffix(name: str) -> bool:
    # By hand, for speed; names that begin with a dot do not come here.
    return name[name.rfind(".") :].lower() in SUFFIXES


def _unreadable(error: OSError) -> ImageError:
    return ImageError("unreadable", f"it cannot be read ({error.strerror})")
