"""Walking a folder: which pictures and videos are there, how large, how old. Opens no file."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from indexer.pipeline.exclude import Exclusions
from indexer.pipeline.ignore import IgnoreRules, rules_on_the_way
from retrieval.errors import ImageError
from retrieval.media.base import SUFFIXES

_Identity = tuple[int, int]


class ScannedFile(NamedTuple):
    """A picture or video file by its name. `path` is relative to the root, with /."""

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


def scan(root: Path, below: str = "", exclusions: Exclusions | None = None) -> Scan:
    """All pictures and videos of a root, or of a folder or file `below` it, in a fixed order.

    Hidden files and folders are passed over, and what `indexer.pipeline.ignore` tells of and
    `exclusions` name. Symbolic links are followed, those to folders after everything else: a folder
    is entered once, under its own name where it has one here. A link that leads back to a folder
    above it is noted as a failure of kind `loop`.
    """
    found = Scan()
    start = os.path.join(root, below) if below else os.fspath(root)  # noqa: PTH118
    try:
        rules, is_passed_over = rules_on_the_way(os.fspath(root), below, exclusions or Exclusions())
        is_file = os.path.isfile(start)  # noqa: PTH113
        if is_passed_over or (below and rules.passes_over(below, is_folder=not is_file)):
            return found
        if is_file:
            facts = os.stat(start)  # noqa: PTH116
            found.files.append(ScannedFile(below, facts.st_size, facts.st_mtime_ns))
            return found
        _Walk(found).run(start, below, rules)
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        found.failures[below] = _unreadable(error)
        return found
    found.files.sort(key=lambda file: file.path)
    return found


@dataclass(frozen=True)
class _Folder:
    """A folder to look into. `above` identifies it and every folder on the way to it.

    `rules` are those of the folders above it.
    """

    path: str
    relative: str
    above: tuple[_Identity, ...]
    rules: IgnoreRules


class _Walk:
    """One walk down from a folder; a queue in place of recursion, so that depth has no bound."""

    def __init__(self, found: Scan) -> None:
        self._found = found
        self._entered: set[_Identity] = set()
        self._folders: deque[_Folder] = deque()
        self._links: deque[_Folder] = deque()

    def run(self, start: str, relative: str, rules: IgnoreRules) -> None:
        identity = _identity(start)
        self._entered.add(identity)
        if identity[0] != _identity(os.path.join(start, os.pardir))[0]:  # noqa: PTH118
            self._found.disks.append(relative)
        self._look_into(_Folder(start, relative, (identity,), rules))
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
            rules = folder.rules.entering(folder.relative, folder.path)
        except OSError as error:
            self._found.failures[folder.relative] = _unreadable(error)
            return
        for entry in listing:
            if entry.name.startswith("."):
                continue
            path = f"{folder.relative}/{entry.name}" if folder.relative else entry.name
            try:
                self._look_at(entry, path, folder, rules)
            except OSError as error:
                self._found.failures[path] = _unreadable(error)

    def _look_at(
        self, entry: os.DirEntry[str], path: str, folder: _Folder, rules: IgnoreRules
    ) -> None:
        if entry.is_dir(follow_symlinks=False):
            if not rules.passes_over(path, is_folder=True):
                self._enter(_Folder(entry.path, path, folder.above, rules))
        elif _has_media_suffix(entry.name) and entry.is_file():
            if not rules.passes_over(path, is_folder=False):
                facts = entry.stat()
                self._found.files.append(ScannedFile(path, facts.st_size, facts.st_mtime_ns))
        elif (
            entry.is_symlink()
            and entry.is_dir()
            and not rules.passes_over(path, is_folder=True)
            and not rules.exclusions.leads_to_removed(entry.path)
        ):
            self._links.append(_Folder(entry.path, path, folder.above, rules))

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
            above = (*folder.above, identity)
            self._folders.append(_Folder(folder.path, folder.relative, above, folder.rules))


def _identity(folder: str) -> _Identity:
    facts = os.stat(folder)  # noqa: PTH116 - strings are several times faster than Path here
    return facts.st_dev, facts.st_ino


def _has_media_suffix(name: str) -> bool:
    # By hand, for speed; names that begin with a dot do not come here.
    return name[name.rfind(".") :].lower() in SUFFIXES


def _unreadable(error: OSError) -> ImageError:
    return ImageError("unreadable", f"it cannot be read ({error.strerror})")
