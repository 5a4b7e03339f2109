"""The roots of a catalogue as a run would leave them, for those that must not write."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from retrieval.catalog import Catalog, KnownFile, Root


class PlannedRoots:
    """Takes what `resolve_targets` does to a catalogue's roots, and writes none of it.

    Without a catalogue it begins with no roots. A root that only this knows has an id below 0.
    """

    def __init__(self, catalog: Catalog | None) -> None:
        self._catalog = catalog
        self._roots: list[Root] = catalog.roots() if catalog is not None else []
        # Which roots of the catalogue make up a root, each with the folder that it is in there.
        self._parts: dict[int, list[tuple[Root, str]]] = {
            root.id: [(root, "")] for root in self._roots
        }

    def roots(self) -> list[Root]:
        """The roots as they would be."""
        return list(self._roots)

    def elsewhere(self) -> list[Path]:
        """As `Catalog.elsewhere`."""
        return self._catalog.elsewhere() if self._catalog is not None else []

    def known_files(self, root_id: int, below: str = "") -> Iterator[tuple[str, KnownFile]]:
        """As `Catalog.known_files`, of a root as it would be."""
        parts = [
            self._known_in(part, folder, inside)
            for part, folder in self._parts[root_id]
            if (inside := _inside(folder, below)) is not None
        ]
        return heapq.merge(*parts, key=lambda known: os.fsencode(known[0]))

    def knows_files(self, root_id: int, below: str = "") -> bool:
        """As `Catalog.knows_files`."""
        return next(iter(self.known_files(root_id, below)), None) is not None

    def _known_in(self, part: Root, folder: str, below: str) -> Iterator[tuple[str, KnownFile]]:
        """What is known in a part, by the path from the root around it, where it is `folder`."""
        if self._catalog is None:
            return
        for path, file in self._catalog.known_files(part.id, below):
            # What was wrong with a part as a whole is seen anew from the root around it.
            if not folder:
                yield path, file
            elif path:
                yield f"{folder}/{path}", file

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Itself; there is nothing to commit."""
        yield self

    def add_root(self, path: Path) -> Root:
        """Plan a root."""
        root = Root(-1 - len(self._parts), path)
        self._roots.append(root)
        self._parts[root.id] = []
        return root

    def merge_root(self, inner: Root, outer: Root) -> None:
        """Plan that a root becomes part of one around it."""
        folder = inner.path.relative_to(outer.path).as_posix()
        self._parts[outer.id] += [
            (part, f"{folder}/{below}" if below else folder)
            for part, below in self._parts[inner.id]
        ]
        self._roots.remove(inner)


def _inside(folder: str, below: str) -> str | None:
    """What `below`, from the top, is from a folder: "" for all of it, None for nothing of it."""
    if not folder:
        return below
    if not below or f"{folder}/".startswith(f"{below}/"):
        return ""
    return below.removeprefix(f"{folder}/") if below.startswith(f"{folder}/") else None
