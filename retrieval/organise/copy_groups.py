"""Pairs of copies to groups, each with its best: the largest, the least compressed, the oldest.

A group is a star, not a chain: each of its pictures is a copy of the best one itself. So a long
series in which each picture is like the next falls into as many groups as it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

# Sizes that differ by no more are the same: a camera's preview, or a row that was cut off.
_SAME_PIXELS = 1.02


@dataclass(frozen=True)
class Copy:
    """One picture of a group: where, how large, and how it differs from the best one.

    `kind`: `identical` bytes, `saved again`, `resized`, `cropped`, `mirrored`, `mirrored and
    cropped`; None of the best one itself. `modified_at`: when the file was written, in UTC.
    `facts`: how many facts its file tells of itself.
    """

    path: Path
    item_id: int
    width_px: int
    height_px: int
    size_bytes: int
    modified_at: datetime
    taken_at: datetime | None = None
    facts: int = 0
    kind: str | None = None


@dataclass(frozen=True)
class CopyGroup:
    """Copies of one picture: the best of them, why it is, and the others, the largest first."""

    best: Copy
    reason: str
    others: tuple[Copy, ...]

    @property
    def spare_bytes(self) -> int:
        """What the others take."""
        return sum(copy.size_bytes for copy in self.others)


class Components:
    """What hangs together by pairs: a forest of disjoint sets (Tarjan, JACM 1975)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def join(self, one: int, other: int) -> None:
        """Say that two belong together."""
        first, second = sorted((self._top(one), self._top(other)))
        self._parent[second] = first

    def are_joined(self, one: int, other: int) -> bool:
        """Whether pairs lead from one to the other."""
        return self._top(one) == self._top(other)

    def groups(self) -> list[list[int]]:
        """Those of two and more, each ascending; in the order of their first ids."""
        found: dict[int, list[int]] = {}
        for id_ in sorted(self._parent):
            found.setdefault(self._top(id_), []).append(id_)
        return [ids for ids in found.values() if len(ids) > 1]

    def _top(self, id_: int) -> int:
        parent = self._parent
        parent.setdefault(id_, id_)
        while parent[id_] != id_:
            parent[id_] = parent[parent[id_]]
            id_ = parent[id_]
        return id_


def ranked(copies: Sequence[Copy]) -> list[Copy]:
    """The best to keep first; which is, does not depend on the order in which they come."""
    largest = max((copy.width_px * copy.height_px for copy in copies), default=0)
    return sorted(copies, key=lambda copy: [key for _, key in _merits(copy, largest)])


def reason_for(best: Copy, others: Sequence[Copy]) -> str:
    """In what the best one is better than the next."""
    runner_up = ranked(others)[0]
    largest = max(copy.width_px * copy.height_px for copy in (best, *others))
    pairs = zip(_merits(best, largest), _merits(runner_up, largest), strict=True)
    return next(name for (name, own), (_, theirs) in pairs if own != theirs)


def stars(
    members: Sequence[Copy], kind_of: Callable[[Copy, Copy], str | None]
) -> Iterator[CopyGroup]:
    """The groups of what hangs together.

    `kind_of` says how the second is a copy of the first, None where it is none.
    """
    left = ranked(members)
    while len(left) > 1:
        best, *rest = left
        kinds = [(copy, kind_of(best, copy)) for copy in rest]
        own = [replace(copy, kind=kind) for copy, kind in kinds if kind is not None]
        if own:
            yield CopyGroup(best, reason_for(best, own), tuple(own))
        left = ranked([copy for copy, kind in kinds if kind is None])


def _merits(copy: Copy, largest_px: int) -> list[tuple[str, Any]]:
    """What counts, in this order, each with a key of which the smallest is the best."""
    pixels = copy.width_px * copy.height_px
    is_largest = pixels * _SAME_PIXELS >= largest_px
    return [
        ("most pixels", 0 if is_largest else largest_px - pixels),
        ("least compressed", -copy.size_bytes),
        ("most metadata", -copy.facts),
        ("oldest", copy.modified_at),
        ("shortest path", len(str(copy.path))),
        ("first path", str(copy.path)),
    ]
