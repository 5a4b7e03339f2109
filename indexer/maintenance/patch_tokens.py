"""Patch tokens that got lost are made again, so that the pictures can be looked at twice.

Tokens are kept after a batch is committed, and in a file that may be dropped. So a run that was
cut off between the two, or a damaged file, leaves pictures without them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from indexer.pipeline.reencode import reencode
from indexer.report import SilentProgress
from retrieval.catalog import Catalog
from retrieval.encoders.base import Encoder
from retrieval.storage.patch_tokens import PatchTokens

logger = logging.getLogger(__name__)


def restore_tokens(
    catalog: Catalog,
    tokens: PatchTokens,
    folders: Sequence[Path],
    encoder: Callable[[], Encoder],
    stop: threading.Event,
) -> None:
    """Make the tokens again of pictures below `folders` that lack theirs, and drop stray ones.

    Pictures whose file has changed since are left alone. Raises KeyboardInterrupt between two
    batches once `stop` is set.
    """
    kept = tokens.ids()
    if kept is None:
        return
    stray = np.setdiff1d(kept, catalog.item_ids(), assume_unique=True)
    if len(stray):
        tokens.remove(stray.tolist())
    within = [catalog.ids_within(folder) for folder in folders]
    wanted = np.unique(np.concatenate([np.empty(0, np.int64), *within]))
    lacking = np.setdiff1d(wanted, kept, assume_unique=True).tolist()
    if not lacking:
        return
    logger.warning("%d pictures lack their patch tokens: reading them again.", len(lacking))
    reencode(
        catalog,
        tokens,
        encoder(),
        for_vectors=(),
        for_tokens=set(lacking),
        progress=_UntilStopped(stop),
    )


class _UntilStopped(SilentProgress):
    """Progress that nobody looks at, and that ends the work once it is told to."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def advance(self, files: int) -> None:
        """Raises KeyboardInterrupt once `stop` is set."""
        if self._stop.is_set():
            raise KeyboardInterrupt
