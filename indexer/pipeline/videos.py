"""Videos, one after another: frames sampled, encoded, and those kept that stand for what is seen.

Decoding, encoding and writing overlap, a part of a few frames at a time. A long video is written
in parts, too: until the last one its file is kept under `unfinished_hash`, so that a run that was
cut off goes on after the last moment that it committed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from indexer.pipeline.encode import EncodedBatch, EncodingBackend
from indexer.pipeline.read import LoadedFile
from indexer.pipeline.scan import ScannedFile
from indexer.pipeline.video_parts import VideoFile, VideoWriter
from indexer.pipeline.write import BatchWriter
from retrieval.catalog.moments import content_hash_of_file, moments_of_file
from retrieval.catalog.records import CONTENT_HASH_BYTES, KnownFile, Root, unfinished_hash
from retrieval.errors import ImageError
from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.index import Index
from retrieval.media.key_frames import KeyFrame, KeyFrameChooser, rule_for
from retrieval.media.video import (
    Identity,
    VideoFacts,
    VideoPart,
    VideoReader,
    identity_of,
    require_supported,
)

_BLOCK_BYTES = 2**20
# A part of a long video is committed when so much of it has been looked through.
COMMIT_EVERY_MS = 10 * 60 * 1000
_COMMIT_FRAMES = 64
# The moving half of a live photo is three seconds long.
_LIVE_PHOTO_MS = 5000
_LIVE_SUFFIX = ".mov"
_STILL_SUFFIXES = (".heic", ".jpg", ".jpeg", ".HEIC", ".JPG", ".JPEG")


class VideoIntake:
    """Takes the videos of one root into the index.

    What is known already, moved or copied goes through `writer`, as pictures do.
    """

    def __init__(
        self,
        index: Index,
        root: Root,
        known: Mapping[str, KnownFile],
        backend: EncodingBackend,
        writer: BatchWriter,
        decoders: DecoderPool,
        stop: threading.Event,
    ) -> None:
        self._index = index
        self._root = root
        self._known = known
        self._backend = backend
        self._writer = writer
        self._reader = VideoReader(decoders)
        self._stop = stop

    def take(self, file: ScannedFile) -> None:
        """Bring the catalogue in line with one file.

        Raises KeyboardInterrupt once `stop` is set; what was committed by then is kept.
        """
        path = self._root.path / file.path
        before = self._known.get(file.path)
        own_id = None if before is None else before.file_id
        content = b""
        try:
            require_supported()
            content, identity = hashed(path, self._stop)
            known = self._index.catalog.files_with_content([content]).get(content, ())
            facts = self._reader.facts(path, identity)
            # One without items may stand elsewhere beside no still picture.
            if own_id in known or self._index.catalog.item_ids_of(known):
                loaded = LoadedFile(file, content, known_ids=tuple(known), metadata=facts.metadata)
                self._writer.write(EncodedBatch([loaded]))
                return
            self._read(VideoFile(file, content, path), own_id, facts, identity)
        except ImageError as failure:
            self._writer.write(EncodedBatch([LoadedFile(file, content, failure=failure)]))

    def _read(
        self, video: VideoFile, own_id: int | None, facts: VideoFacts, identity: Identity
    ) -> None:
        catalog = self._index.catalog
        writer = VideoWriter(self._index, self._root, video, own_id, self._writer.summary)
        if _is_moving_half(video.path, facts):
            writer.write((), is_last=True)
            return
        after_ms, last_key = -1, None
        if own_id is not None and content_hash_of_file(catalog.raw_rows, own_id) == unfinished_hash(
            video.content_hash
        ):
            moments = moments_of_file(catalog.raw_rows, own_id)
            if moments:
                last = moments[-1]
                writer.go_on_after(own_id, last.position)
                after_ms = last.time_ms or 0
                last_key = catalog.vectors([last.item_id])[last.item_id].astype(np.float32)
        chooser: KeyFrameChooser[_Encoded] = KeyFrameChooser(
            rule_for(self._index.encoder.loaded.space.name), last_key
        )
        try:
            self._choose(video, identity, after_ms, chooser, writer)
        except ImageError as failure:
            writer.give_up(failure)
            raise

    def _choose(
        self,
        video: VideoFile,
        identity: Identity,
        after_ms: int,
        chooser: KeyFrameChooser[_Encoded],
        writer: VideoWriter,
    ) -> None:
        """Read the video to its end, and write its key frames as they come."""
        due: list[KeyFrame[_Encoded]] = []
        committed_ms = max(0, after_ms)
        with closing(
            self._reader.sample(
                video.path,
                self._index.encoder.preprocessing,
                after_ms=after_ms,
                identity=identity,
            )
        ) as parts:
            in_hand: deque[VideoPart] = deque()
            for batch in self._backend.encode(_batches(video, parts, in_hand)):
                if self._stop.is_set():
                    raise KeyboardInterrupt
                part = in_hand.popleft()
                self._writer.summary.encoded += batch.count
                for encoded in _rows(batch):
                    frame = encoded[0]
                    assert frame.time_ms is not None
                    done = chooser.add(frame.time_ms, encoded[1], encoded)
                    due += [done] if done is not None else []
                if due and (
                    len(due) >= _COMMIT_FRAMES or part.reached_ms - committed_ms >= COMMIT_EVERY_MS
                ):
                    writer.write(due, is_last=False)
                    due, committed_ms = [], part.reached_ms
        last = chooser.finish()
        writer.write([*due, last] if last is not None else due, is_last=True)


# A frame, its vector, (dim,), and its patch tokens where the encoder gives some.
_Encoded = tuple[DecodedImage, np.ndarray, "np.ndarray | None"]


def hashed(path: Path, stop: threading.Event) -> tuple[bytes, Identity]:
    """A file's hash, without holding it in memory, and which file it is of.

    Raises ImageError where it is no regular file or cannot be read, KeyboardInterrupt once `stop`
    is set.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ImageError("unreadable", "it is no regular file")
            if not facts.st_size:
                raise ImageError("empty", "the file is empty")
            content = _digest(file, stop)
            if identity_of(os.fstat(file.fileno())) != identity_of(facts):
                raise ImageError("unreadable", "it changed while it was read")
            return content, identity_of(facts)
    except FileNotFoundError as error:
        raise ImageError("vanished", "the file is no longer there") from error
    except OSError as error:
        raise ImageError("unreadable", f"it cannot be read ({error.strerror})") from error


def _digest(file: BinaryIO, stop: threading.Event) -> bytes:
    digest = hashlib.blake2b(digest_size=CONTENT_HASH_BYTES)
    while block := file.read(_BLOCK_BYTES):
        if stop.is_set():
            raise KeyboardInterrupt
        digest.update(block)
    return digest.digest()


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _batches(
    video: VideoFile, parts: Iterator[VideoPart], in_hand: deque[VideoPart]
) -> Iterator[Sequence[LoadedFile]]:
    """Each part as a batch of one file, as encoding backends take them; noted as it goes out."""
    for number, part in enumerate(parts):
        # Backends encode each content once: each part is one of its own.
        content = hashlib.blake2b(
            number.to_bytes(8, "big"), key=video.content_hash, digest_size=CONTENT_HASH_BYTES
        ).digest()
        in_hand.append(replace(part, frames=()))
        yield [LoadedFile(video.file, content, items=part.frames)]


def _rows(batch: EncodedBatch) -> Iterator[_Encoded]:
    encoding = batch.encoding
    if encoding is None:
        return
    tokens = encoding.patch_tokens
    frames = (frame for loaded in batch.files for frame in loaded.items)
    for row, frame in enumerate(frames):
        # Copies: a view would keep the whole part alive.
        yield (
            replace(frame, pixels=frame.pixels[:0]),
            np.array(encoding.vectors[row], np.float32),
            None if tokens is None else tokens[row].copy(),
        )


def _is_moving_half(path: Path, facts: VideoFacts) -> bool:
    """Whether a video is the moving half of a live photo whose still half lies beside it."""
    if path.suffix.lower() != _LIVE_SUFFIX:
        return False
    if not facts.is_live_photo and not 0 < (facts.duration_ms or 0) <= _LIVE_PHOTO_MS:
        return False
    return any(os.path.lexists(path.with_suffix(suffix)) for suffix in _STILL_SUFFIXES)
