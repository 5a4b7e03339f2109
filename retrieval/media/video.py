"""Videos as media: frames sampled in order, or at given times, from the guarded process.

`retrieval.media.frames` is the other end. A video comes in parts of a few frames, so that memory
does not grow with its length.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import ImageError
from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.facts import ImageMetadata
from retrieval.images.preprocess import Preprocessing
from retrieval.media.base import VIDEO, can_read_video

SAMPLE_EVERY_MS = 500
_READER = "retrieval.media.frames"

Identity = tuple[int, int, int, int]
"""A file as it was looked at: device, inode, size in bytes, time of modification in ns."""


@dataclass(frozen=True)
class VideoFacts:
    """What is known of a video as a whole. `duration_ms` is None where its file does not say.

    `is_live_photo`: it carries the name that the two halves of a live photo share.
    """

    duration_ms: int | None
    width_px: int
    height_px: int
    is_live_photo: bool
    metadata: ImageMetadata


@dataclass(frozen=True)
class VideoPart:
    """Frames in their order, and how far the video has been read, in milliseconds.

    `is_whole` is False in the last part of a damaged video, of which some was left out.
    """

    facts: VideoFacts
    frames: tuple[DecodedImage, ...]
    reached_ms: int
    is_whole: bool = True


class VideoReader:
    """A `MediaReader` of video files. Raises ImageError for those that cannot be read."""

    kind = VIDEO

    def __init__(self, decoders: DecoderPool) -> None:
        self._decoders = decoders

    def show(self, path: Path, time_ms: int | None, preprocessing: Preprocessing) -> DecodedImage:
        """See `MediaReader`; without a time, the first frame."""
        return next(iter(self.frames_at(path, [time_ms or 0], preprocessing)))

    def facts(self, path: Path, identity: Identity | None = None) -> VideoFacts:
        """What the file says of the whole."""
        request = _request(path, identity, None)
        for answer, _payload in self._decoders.read_in_parts(request):
            return _facts(answer)
        raise ImageError("damaged", "no frame of it can be decoded")

    def sample(
        self,
        path: Path,
        preprocessing: Preprocessing,
        *,
        after_ms: int = -1,
        identity: Identity | None = None,
    ) -> Generator[VideoPart, None, None]:
        """Two frames a second after a time, without those that look like the one before.

        `identity`: the file has to be this very one still. Whoever stops early closes the iterator.
        """
        request = _request(path, identity, preprocessing)
        request |= {"after_ms": after_ms, "every_ms": SAMPLE_EVERY_MS}
        for answer, payload in self._decoders.read_in_parts(request):
            yield _part(answer, payload, preprocessing.size_px)

    def frames_at(
        self,
        path: Path,
        times_ms: Sequence[int],
        preprocessing: Preprocessing,
        *,
        identity: Identity | None = None,
    ) -> Iterator[DecodedImage]:
        """The frames that are seen at these times, which ascend."""
        request = _request(path, identity, preprocessing) | {"times_ms": list(times_ms)}
        for answer, payload in self._decoders.read_in_parts(request):
            yield from _part(answer, payload, preprocessing.size_px).frames


def require_supported() -> None:
    """Raise ImageError where PyAV is not installed."""
    if not can_read_video():
        raise ImageError("unsupported", "`pip install 'mmsearch[video]'` lets videos be read")


def identity_of(facts: os.stat_result) -> Identity:
    """A file as `os.fstat` tells of it."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _request(
    path: Path, identity: Identity | None, preprocessing: Preprocessing | None
) -> dict[str, Any]:
    require_supported()
    return {
        "reader": _READER,
        "path": os.fspath(path.absolute()),
        "identity": identity,
        "preprocessing": None if preprocessing is None else asdict(preprocessing),
    }


def _facts(answer: dict[str, Any]) -> VideoFacts:
    return VideoFacts(
        answer["duration_ms"],
        answer["width_px"],
        answer["height_px"],
        answer["is_live_photo"],
        ImageMetadata.from_json(answer["metadata"]),
    )


def _part(answer: dict[str, Any], payload: bytes, side_px: int) -> VideoPart:
    times: list[int] = answer["times_ms"]
    facts = _facts(answer)
    pixels = np.frombuffer(payload, np.uint8).reshape(len(times), side_px, side_px, 3)
    frames = tuple(
        DecodedImage(one, facts.width_px, facts.height_px, facts.metadata, time_ms)
        for one, time_ms in zip(pixels, times, strict=True)
    )
    return VideoPart(facts, frames, answer["reached_ms"], answer.get("is_whole", True))
