"""What a run passes over whatever ignore files say: patterns that it is given, what was removed."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from retrieval.errors import MmsearchError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True)
class Exclusions:
    """What is passed over in a root, whatever its ignore files say.

    `patterns` are lines as of a `.gitignore` that lies in the root; the last that matches decides.
    `removed` are files and folders relative to the root, with /, that no pattern brings back;
    `removed_places` are where they lie on disk, free of symbolic links.
    """

    patterns: tuple[str, ...] = ()
    removed: frozenset[str] = frozenset()
    removed_places: tuple[str, ...] = ()

    def decide(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether to pass over a path, relative to the root with /; None leaves it to others."""
        if path in self.removed:
            return True
        if not self.patterns:
            return None
        return self._spec.check_file(path + "/" if is_folder else path).include

    def leads_to_removed(self, link: str) -> bool:
        """Whether a symbolic link leads into what was removed, which would return by it."""
        if not self.removed_places:
            return False
        place = os.path.realpath(link)
        return any(
            place == removed or place.startswith(removed + os.sep)
            for removed in self.removed_places
        )

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        return spec_of(self.patterns)


def check_patterns(patterns: object) -> None:
    """Raise TypeError unless it is a collection of str, MmsearchError for what is no pattern."""
    if isinstance(patterns, (str, bytes)) or not isinstance(patterns, Sequence):
        raise TypeError(
            f"exclude is a list of patterns, not {type(patterns).__name__}: "
            "put a single one in a list."
        )
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"exclude is a list of str; this one holds {type(pattern).__name__}.")
        if not _is_pattern(pattern):
            raise MmsearchError(
                f"{pattern!r} is no pattern that can be excluded: write it as a line of a "
                '.gitignore, as "private/" or "*.gif".'
            )


def spec_of(lines: Iterable[str]) -> GitIgnoreSpec:
    """The matcher of these lines; those that are no patterns are passed over, as git does."""
    lines = list(lines)
    try:
        return _compiled(lines)
    except ValueError:
        return _compiled([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    try:
        _compiled([line])
    except ValueError:
        return False
    return True


def _compiled(lines: Sequence[str]) -> GitIgnoreSpec:
    """The matcher; raises ValueError where a line is no pattern."""
    # Here, since few runs have any pattern.
    from pathspec import GitIgnoreSpec

    with warnings.catch_warnings():
        # Of brackets that a later Python may read otherwise; nobody can act on it.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return GitIgnoreSpec.from_lines(lines)
        except re.error as error:
            raise ValueError(str(error)) from error
