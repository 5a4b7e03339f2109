"""A progress bar for work in stages, such as an evaluation; on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tqdm import tqdm


class StageBar:
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
            self._close()
            bar = tqdm(total=total, desc=stage, dynamic_ncols=True, leave=False)
            self._bar, self._stage = bar, stage
        bar.update(done - bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
