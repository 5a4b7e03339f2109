"""What a person removed from the index stays out of it until it is named itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from indexer.pipeline.exclude import Exclusions
from retrieval.catalog import Root
from retrieval.errors import MmsearchError
from retrieval.paths import absolute


def left_removed(removed: Sequence[Path], named: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """What stays removed when the paths `named` are indexed; those themselves are taken back.

    Raises MmsearchError for a named path inside of what stays removed: nothing would come of it.
    """
    paths = [absolute(path) for path in named]
    left = [path for path in removed if path not in paths]
    for path in paths:
        around = next((one for one in left if one in path.parents), None)
        if around is not None:
            raise MmsearchError(
                f"{path} lies in {around}, which was removed from the index: "
                f"name {around} itself to take it in again."
            )
    return left


def with_removed(removed: Sequence[Path], path: Path, roots: Iterable[Root]) -> list[Path]:
    """What is to stay removed once `path` is removed, `roots` being those that are left.

    What lies in no root any more needs no word to stay out.
    """
    folders = [root.path for root in roots]
    return sorted(
        one for one in {*removed, path} if any(folder in one.parents for folder in folders)
    )


def exclusions_of(root: Root, patterns: Sequence[str], removed: Sequence[Path]) -> Exclusions:
    """The patterns, and what of `removed` lies in the root, as its scan takes them."""
    inside = [path for path in removed if root.path in path.parents]
    return Exclusions(
        tuple(patterns),
        frozenset(path.relative_to(root.path).as_posix() for path in inside),
        tuple(os.path.realpath(path) for path in inside),
    )
