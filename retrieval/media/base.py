"""The seam to what is indexed: one reader for each kind of file, and which kind a name is of.

A picture's file is one item, a video's is many, each a moment with its time. Whoever shows an item
goes through `MediaReader.show`, whichever it is.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from retrieval.images import formats

if TYPE_CHECKING:
    from retrieval.images.decode import DecodedImage
    from retrieval.images.preprocess import Preprocessing

IMAGE = "image"
VIDEO = "video"
# fmt: off
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".mpg", ".mpeg",
     ".3gp", ".3g2", ".wmv", ".flv", ".ogv", ".mxf"}
)
# fmt: on
SUFFIXES = formats.SUFFIXES | VIDEO_SUFFIXES


class MediaReader(Protocol):
    """Reads files of one kind, in processes that may die of them."""

    @property
    def kind(self) -> str:
        """`image` or `video`."""
        ...

    def show(self, path: Path, time_ms: int | None, preprocessing: Preprocessing) -> DecodedImage:
        """What an item shows: the picture, or the video's frame at its time.

        Raises ImageError where the file cannot be read.
        """
        ...


def kind_of(name: str) -> str:
    """`video` or `image`, by the end of a file's name."""
    return VIDEO if name[name.rfind(".") :].lower() in VIDEO_SUFFIXES else IMAGE


def is_supported(name: str) -> bool:
    """False for the name of a file where what reads its kind is not installed."""
    return can_read_video() if kind_of(name) == VIDEO else formats.is_supported(name)


@cache
def can_read_video() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None
