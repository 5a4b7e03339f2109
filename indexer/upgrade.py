"""Moving an index to another model, in place: it answers with the old one until the new is whole.

The vectors of the new model grow in a space of their own, in the same catalogue. When the last one
is there, one transaction makes it the space that answers, and programs that have the index open go
over with their next question.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from indexer.pipeline.reencode import reencode
from indexer.report import Progress, SilentProgress
from retrieval.encoders.base import Encoder
from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
from retrieval.errors import IndexMissingError
from retrieval.index import Index, take_next_tokens
from retrieval.rerankers.registry import TRAINED_FOLDER
from retrieval.storage.patch_tokens import PatchTokens


@dataclass(frozen=True)
class UpgradeReport:
    """What came of moving an index from one model to another.

    `encoded` pictures were encoded in this run, of `total`. `left` are those whose file is not
    there, cannot be read or has another content now, so that they have no vector of the new model;
    with them left the index has not `moved`, unless they were to be left behind. `interrupted`:
    the run was stopped, and the next one goes on from there.
    """

    model_before: str
    model: str
    encoded: int
    total: int
    left: int
    moved: bool
    interrupted: bool = False


def upgrade_index(
    index_dir: str | os.PathLike[str] | None = None,
    *,
    model: str = DEFAULT_MODEL,
    precision: str = "auto",
    encoder: Encoder | None = None,
    leave_behind: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> UpgradeReport:
    """Encode every picture with another model, and then let the index answer with that.

    Until then it answers with the one that it has, also where this is cut off; called again, it
    goes on. `encoder` is for an encoder object of one's own. Pictures that cannot be read keep the
    index where it is, unless they are to be left behind: they are then forgotten, and a later
    indexing run finds those that are there again. Does nothing where the index has that model, and
    encodes nothing where the model differs in how it reads words alone.

    Raises IndexMissingError where nothing is indexed, UnknownModelError where there is no such
    model, IndexBusyError while another process writes, StorageError where the disk is full.
    """
    target = encoder or load_encoder(model, precision)
    with Index.writing(index_dir) as index:
        catalog = index.catalog
        made_by = catalog.encoder
        if made_by is None:
            raise IndexMissingError(
                f"The index in {index.dir.folder} is empty.", folder=index.dir.folder
            )
        total = catalog.count_items()
        if target.space.is_same(made_by):
            renamed = target.space.name != made_by.name
            if renamed:
                # Another text tower, or heads after it: the pictures' vectors are the same.
                with catalog.transaction() as change:
                    change.rename_space(target.space.name)
            return UpgradeReport(made_by.name, target.space.name, 0, total, 0, moved=renamed)
        with catalog.transaction() as change:
            space_id = change.begin_space(target.space)
        names = (made_by.name, target.space.name)
        before = catalog.ids_without_vectors(space_id)
        interrupted = False
        with closing(index.next_patch_tokens(target.space.fingerprint)) as tokens:
            try:
                wanted = set(before.tolist())
                reencode(
                    catalog,
                    tokens,
                    target,
                    for_vectors=wanted,
                    for_tokens=wanted,
                    progress=_Stoppable(progress or SilentProgress(), stop or threading.Event()),
                    space_id=space_id,
                )
            except KeyboardInterrupt:
                interrupted = True
            has_tokens = _drop_stray(tokens, catalog.item_ids())
        left = len(catalog.ids_without_vectors(space_id))
        encoded = len(before) - left
        if interrupted or (left and not leave_behind) or left == total:
            return UpgradeReport(*names, encoded, total, left, False, interrupted)
        _move(index, has_tokens)
        return UpgradeReport(*names, encoded, total, left, moved=True)


def _drop_stray(tokens: PatchTokens, item_ids: np.ndarray) -> bool:
    """Drop tokens of items that are gone; returns whether any are left."""
    kept = tokens.ids()
    if kept is None:
        return False
    stray = np.setdiff1d(kept, item_ids, assume_unique=True)
    if len(stray):
        tokens.remove(stray.tolist())
    return len(kept) > len(stray)


def _move(index: Index, has_tokens: bool) -> None:
    """Let the index answer with the new model."""
    trained = index.dir.folder / TRAINED_FOLDER
    if trained.exists():
        # It knows the former model's tokens only; kept, since its training took a while.
        trained.rename(_free_name(trained))
    with index.catalog.transaction() as change:
        change.switch_space(has_patch_tokens=has_tokens)
    take_next_tokens(index.dir, index.catalog)
    index.refresh_vectors(anew=True)


def _free_name(folder: os.PathLike[str]) -> str:
    number = 1
    while os.path.lexists(f"{os.fspath(folder)}.former-{number}"):
        number += 1
    return f"{os.fspath(folder)}.former-{number}"


class _Stoppable:
    """Another's progress, that ends the work between two batches once it is told to."""

    def __init__(self, inner: Progress, stop: threading.Event) -> None:
        self._inner = inner
        self._stop = stop

    def start(self, total: int) -> None:
        """As the inner one."""
        self._inner.start(total)

    def advance(self, files: int) -> None:
        """As the inner one; raises KeyboardInterrupt once `stop` is set."""
        self._inner.advance(files)
        if self._stop.is_set():
            raise KeyboardInterrupt

    def finish(self) -> None:
        """As the inner one."""
        self._inner.finish()
