"""What an indexing run reports: its progress while it works, a summary at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass
class IndexReport:
    """Counts of files by what happened to them, in one run.

    `absent_roots` are folders, roots or inside of one, whose disk seems not to be there; their
    pictures were kept. `encoded` is
    how many pictures went through the encoder: copies and moved files do not. A long video of which
    a run that was interrupted kept a part is new or changed.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    failed: int = 0
    unchanged: int = 0
    encoded: int = 0
    interrupted: bool = False
    elapsed_s: float = 0.0
    absent_roots: list[Path] = field(default_factory=list)


class Progress(Protocol):
    """Told how far a run is; `SilentProgress` where nobody looks."""

    def start(self, total: int) -> None:
        """`total` files are to be read."""
        ...

    def advance(self, files: int) -> None:
        """So many more files are done."""
        ...

    def finish(self) -> None:
        """The run is over, whichever way."""
        ...


class SilentProgress:
    """Progress that nobody looks at."""

    def start(self, total: int) -> None:
        """Says nothing."""

    def advance(self, files: int) -> None:
        """Says nothing."""

    def finish(self) -> None:
        """Says nothing."""
