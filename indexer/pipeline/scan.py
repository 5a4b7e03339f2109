"""Walking a folder: which pictures and videos are there, how large, how old. Opens no file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
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


class Scan:
    """All pictures and videos of a root, or of a folder or file `below` it; walked once, by `for`.

    They come in the order of their paths' bytes, save that what lies behind links to folders comes
    after everything else. Hidden files and folders are passed over, and what
    `indexer.pipeline.ignore` tells of and `exclusions` name. A folder is entered once, under its
    own name where it has one here. A link that leads back to a folder above it is noted as a
    failure of kind `loop`.

    What else was seen stands here once all files have been asked for. `failures` maps paths,
    relative to the root, to what kept them from being looked at: below those, nothing is known.
    `is_empty` means that the folder had no entry of any sort. `disks` are folders that lie on
    another disk than the folder they are in; "" is the folder itself.
    """

    def __init__(self, root: Path, below: str = "", exclusions: Exclusions | None = None) -> None:
        self._root = os.fspath(root)
        self._below = below
        self._exclusions = exclusions or Exclusions()
        self._entered: set[_Identity] = set()
        self._links: deque[_Folder] = deque()
        self.failures: dict[str, ImageError] = {}
        self.is_empty = False
        self.disks: list[str] = []

    def __iter__(self) -> Iterator[ScannedFile]:
        below = self._below
        start = os.path.join(self._root, below) if below else self._root  # noqa: PTH118
        try:
            rules, is_passed_over = rules_on_the_way(self._root, below, self._exclusions)
            is_file = os.path.isfile(start)  # noqa: PTH113
            if is_passed_over or (below and rules.passes_over(below, is_folder=not is_file)):
                return
            if is_file:
                facts = os.stat(start)  # noqa: PTH116
                yield ScannedFile(below, facts.st_size, facts.st_mtime_ns)
                return
            identity = _identity(start)
            if identity[0] != _identity(os.path.join(start, os.pardir))[0]:  # noqa: PTH118
                self.disks.append(below)
            self._entered.add(identity)
            yield from self._walk(_Folder(start, below, (identity,), rules))
            self.is_empty = not self.failures and not any(os.scandir(start))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.failures[below] = _unreadable(error)

    def _walk(self, start: _Folder) -> Iterator[ScannedFile]:
        yield from self._below_of(start)
        while self._links:
            folder = self._links.popleft()
            if (entered := self._entered_by(folder)) is not None:
                yield from self._below_of(entered)

    def _below_of(self, start: _Folder) -> Iterator[ScannedFile]:
        # Listings in place of recursion, so that depth has no bound.
        listings = [self._listing(start)]
        while listings:
            for seen in listings[-1]:
                if isinstance(seen, ScannedFile):
                    yield seen
                elif (folder := self._entered_by(seen)) is not None:
                    listings.append(self._listing(folder))
                    break
            else:
                listings.pop()

    def _listing(self, folder: _Folder) -> Iterator[ScannedFile | _Folder]:
        """The files in a folder and the folders, as `rules` of the latter those of this one."""
        try:
            with os.scandir(folder.path) as entries:
                listing = sorted(entries, key=_place)
            rules = folder.rules.entering(folder.relative, folder.path)
        except OSError as error:
            self.failures[folder.relative] = _unreadable(error)
            return
        for entry in listing:
            if entry.name.startswith("."):
                continue
            path = f"{folder.relative}/{entry.name}" if folder.relative else entry.name
            try:
                seen = self._look_at(entry, path, folder, rules)
            except OSError as error:
                self.failures[path] = _unreadable(error)
            else:
                if seen is not None:
                    yield seen

    def _look_at(
        self, entry: os.DirEntry[str], path: str, folder: _Folder, rules: IgnoreRules
    ) -> ScannedFile | _Folder | None:
        if entry.is_dir(follow_symlinks=False):
            if not rules.passes_over(path, is_folder=True):
                return _Folder(entry.path, path, folder.above, rules)
        elif _has_media_suffix(entry.name) and entry.is_file():
            if not rules.passes_over(path, is_folder=False):
                facts = entry.stat()
                return ScannedFile(path, facts.st_size, facts.st_mtime_ns)
        elif (
            entry.is_symlink()
            and entry.is_dir()
            and not rules.passes_over(path, is_folder=True)
            and not rules.exclusions.leads_to_removed(entry.path)
        ):
            self._links.append(_Folder(entry.path, path, folder.above, rules))
        return None

    def _entered_by(self, folder: _Folder) -> _Folder | None:
        """The folder as one of those above what lies in it; None where it is not to be entered."""
        try:
            identity = _identity(folder.path)
        except OSError as error:
            self.failures[folder.relative] = _unreadable(error)
            return None
        if identity in folder.above:
            self.failures[folder.relative] = ImageError(
                "loop", "the link leads back to a folder above it"
            )
            return None
        if identity in self._entered:
            return None
        self._entered.add(identity)
        if identity[0] != folder.above[-1][0]:
            self.disks.append(folder.relative)
        return _Folder(folder.path, folder.relative, (*folder.above, identity), folder.rules)


@dataclass(frozen=True)
class _Folder:
    """A folder to look into. `above` identifies it, once entered, and every folder above it.

    `rules` are those of the folders above it.
    """

    path: str
    relative: str
    above: tuple[_Identity, ...]
    rules: IgnoreRules


def _place(entry: os.DirEntry[str]) -> bytes:
    """What to sort a folder's entries by, so that all that lies below comes in order as well."""
    name = os.fsencode(entry.name)
    return name + b"/" if entry.is_dir(follow_symlinks=False) else name


def _identity(folder: str) -> _Identity:
    facts = os.stat(folder)  # noqa: PTH116 - strings are several times faster than Path here
    return facts.st_dev, facts.st_ino


def _has_media_suffix(name: str) -> bool:
    # By hand, for speed; names that begin with a dot do not come here.
    return name[name.rfind(".") :].lower() in SUFFIXES


def _unreadable(error: OSError) -> ImageError:
    return ImageError("unreadable", f"it cannot be read ({error.strerror})")
