"""The progress bar of an indexing run: on a terminal only, so that a pipe or a log stays clean."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


class ProgressBar:
    """`indexer.Progress` as a bar on stderr, with pictures a second and the time that is left."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def start(self, total: int) -> None:
        """Show the bar, unless there is nothing to do or nobody to see it."""
        from tqdm import tqdm

        if total:
            self._bar = tqdm(
                total=total,
                unit=" pictures",
                dynamic_ncols=True,
                leave=False,
                disable=not sys.stderr.isatty(),
            )

    def advance(self, files: int) -> None:
        """Move the bar on."""
        if self._bar is not None:
            self._bar.update(files)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
