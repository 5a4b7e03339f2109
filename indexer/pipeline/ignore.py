"""What a scan passes over: folders that programs keep for themselves, and `.mmsearchignore` files.

An ignore file is written as a `.gitignore` is (see gitignore(5)) and holds for the folder that it
lies in and all below. Of several that match, the one in the deepest folder decides; within a file,
the last line that matches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from indexer.pipeline.exclude import Exclusions, spec_of

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".mmsearchignore"
# Thumbnails, caches and waste baskets of photo programs and storage boxes; hidden ones, as
# .thumbnails, are passed over anyway.
_PROGRAMS_FOLDERS = frozenset(
    {"@eadir", "#recycle", "$recycle.bin", "lost+found", "node_modules", "__macosx"}
)
_PROGRAMS_SUFFIXES = (".lrdata", ".photoslibrary-cache")


def is_program_s_folder(name: str) -> bool:
    """Whether a folder of this name holds a program's copies rather than a person's pictures."""
    lowered = name.lower()
    return lowered in _PROGRAMS_FOLDERS or lowered.endswith(_PROGRAMS_SUFFIXES)


@dataclass(frozen=True)
class IgnoreRules:
    """The ignore files on the way from a root to a folder, the deepest first.

    `folder` is relative to the root, with /; `lines` are those of its own ignore file.
    `exclusions` hold before any of them.
    """

    folder: str = ""
    lines: tuple[str, ...] = ()
    above: IgnoreRules | None = None
    exclusions: Exclusions = field(default_factory=Exclusions)

    def entering(self, folder: str, path: str) -> IgnoreRules:
        """The rules in a folder: these, and those of its own ignore file where it has one.

        `folder` is relative to the root, `path` is where it is on disk. Raises OSError where the
        file is there and cannot be read.
        """
        try:
            with open(os.path.join(path, IGNORE_FILE), "rb") as file:  # noqa: PTH118, PTH123
                text = file.read().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, IsADirectoryError):
            return self
        return IgnoreRules(folder, tuple(text.splitlines()), self, self.exclusions)

    def passes_over(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or folder, by its path relative to the root, is to be passed over."""
        if is_folder and is_program_s_folder(PurePosixPath(path).name):
            return True
        excluded = self.exclusions.decide(path, is_folder=is_folder)
        if excluded is not None:
            return excluded
        for rules in self._levels():
            inside = path.removeprefix(rules.folder + "/") if rules.folder else path
            decided = rules._spec.check_file(inside + "/" if is_folder else inside).include
            if decided is not None:
                return decided
        return False

    def _levels(self) -> Iterator[IgnoreRules]:
        rules: IgnoreRules | None = self
        while rules is not None:
            if rules.lines:
                yield rules
            rules = rules.above

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        return spec_of(self.lines)


def rules_on_the_way(root: str, below: str, exclusions: Exclusions) -> tuple[IgnoreRules, bool]:
    """The rules around a path below a root, and whether they pass over a folder on the way to it.

    The path's own folder is not entered yet. Raises OSError where an ignore file cannot be read.
    """
    rules = IgnoreRules(exclusions=exclusions)
    parts = below.split("/") if below else []
    for depth in range(len(parts)):
        folder = "/".join(parts[:depth])
        if depth and rules.passes_over(folder, is_folder=True):
            return rules, True
        rules = rules.entering(folder, os.path.join(root, folder))  # noqa: PTH118
    return rules, False
