"""What of one video goes into the catalogue: its key frames, in one transaction or in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.write import KEPT_FAILURES
from indexer.report import IndexReport
from retrieval.catalog import FileFacts, ItemFacts, Root
from retrieval.catalog.records import unfinished_hash
from retrieval.errors import ImageError
from retrieval.index import Index
from retrieval.media.base import VIDEO
from retrieval.media.key_frames import KeyFrame

if TYPE_CHECKING:
    from retrieval.images.decode import DecodedImage


@dataclass(frozen=True)
class VideoFile:
    """A video as it was found: `path` is where it is now, `content_hash` has 16 bytes."""

    file: ScannedFile
    content_hash: bytes
    path: Path

    def facts(self, *, is_last: bool) -> FileFacts:
        """What is stored of it, at its end or before."""
        content = self.content_hash if is_last else unfinished_hash(self.content_hash)
        file = self.file
        return FileFacts(file.path, file.size_bytes, file.mtime_ns, content, VIDEO)


class VideoWriter:
    """Writes the key frames of one video, `own_id` being what stood under its path before."""

    def __init__(
        self, index: Index, root: Root, video: VideoFile, own_id: int | None, summary: IndexReport
    ) -> None:
        self._index = index
        self._root = root
        self._video = video
        self._own_id = own_id
        self._summary = summary
        self._file_id: int | None = None
        self._position = 0
        self._is_counted = False

    def go_on_after(self, file_id: int, position: int) -> None:
        """What the file has up to this position is of its present content."""
        self._file_id = file_id
        self._position = position + 1

    def write(
        self,
        chosen: Sequence[KeyFrame[tuple[DecodedImage, np.ndarray, np.ndarray | None]]],
        *,
        is_last: bool,
    ) -> None:
        """Write key frames in one transaction; `is_last` says that the file is complete."""
        tokens = [key.frame[2] for key in chosen if key.frame[2] is not None]
        with_tokens = bool(chosen) and len(tokens) == len(chosen)
        frames = [key.frame[0] for key in chosen]
        items = [
            ItemFacts(frame.width_px, frame.height_px, frame.metadata, frame.time_ms)
            for frame in frames
        ]
        space = self._index.encoder.loaded.space
        vectors = np.array([key.vector for key in chosen], np.float32).reshape(-1, space.dim)
        self._drop_old_tokens()
        root_id = self._root.id
        facts = self._video.facts(is_last=is_last)
        with self._index.catalog.transaction() as change:
            change.set_encoder(space)
            if with_tokens:
                change.note_patch_tokens()
            if self._file_id is None:
                ids = change.add_files(root_id, [(facts, items)], vectors)
                self._file_id = change.file_id(root_id, facts.path)
            else:
                ids = change.append_items(self._file_id, self._position, items, vectors)
                if is_last:
                    change.finish_file(self._file_id, root_id, facts)
            if not is_last:
                change.mark_unread([self._file_id])
        self._position += len(chosen)
        if with_tokens:
            self._index.patch_tokens.put(ids, np.stack(tokens))
        # With its first part: a run that is stopped after it has kept something of the file.
        if not self._is_counted:
            self._count(1)

    def give_up(self, failure: ImageError) -> None:
        """Forget what was written of a file that turns out to be none that can be indexed.

        What stood there before the run is left to whoever notes the failure, and counts it.
        """
        if self._is_counted:
            self._count(-1)
        if self._file_id in (None, self._own_id) or failure.kind in KEPT_FAILURES:
            return
        assert self._file_id is not None
        with self._index.catalog.transaction() as change:
            item_ids = change.remove_files([self._file_id])
        self._index.patch_tokens.remove(item_ids)

    def _drop_old_tokens(self) -> None:
        # Before the commit: old tokens beside a new vector would give wrong answers.
        if self._file_id is None and self._own_id is not None:
            self._index.patch_tokens.remove(self._index.catalog.item_ids_of([self._own_id]))

    def _count(self, files: int) -> None:
        self._is_counted = files > 0
        if self._own_id is None:
            self._summary.new += files
        else:
            self._summary.changed += files
