"""A progress bar for work in stages, such as an evaluation; on a terminal only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from retrieval.storage.closing import Closing

if TYPE_CHECKING:
    from tqdm import tqdm


class StageBar(Closing):
    """A bar on stderr that begins anew with each stage; call it with stage, done and total."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage has come."""
        from tqdm import tqdm

        if not sys.stderr.isatty():
            return
        bar: tqdm[Any] | None = self._bar
        if bar is None or stage != self._stage:
            self.close()
            bar = tqdm(total=total, desc=stage, dynamic_ncols=True, leave=False)
            self._bar, self._stage = bar, stage
        bar.update(done - bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
