"""Small pictures of items: of a photograph, or of a video's frame at its time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.preprocess import Preprocessing
from retrieval.images.thumbnails import as_jpeg, jpeg_thumbnail
from retrieval.media.base import VIDEO, kind_of
from retrieval.media.readers import reader_of


def item_thumbnail(path: Path, time_ms: int | None, longest_side_px: int) -> bytes:
    """What an item shows, as a small JPEG. Raises ImageError where it cannot be read."""
    if time_ms is None and kind_of(path.name) != VIDEO:
        return jpeg_thumbnail(path, longest_side_px)
    rule = Preprocessing(longest_side_px, "squash")
    return as_jpeg(unsquashed(shown(path, time_ms, rule), longest_side_px))


def shown(path: Path, time_ms: int | None, preprocessing: Preprocessing) -> DecodedImage:
    """What an item shows at an encoder's size, decoded in a process that all callers share.

    Raises ImageError where it cannot be read.
    """
    return reader_of(path.name, _decoders()).show(path, time_ms, preprocessing)


def unsquashed(decoded: DecodedImage, longest_side_px: int) -> Image.Image:
    """A picture that was squashed to a square, in its own shape and at most so long."""
    width, height = decoded.width_px, decoded.height_px
    scale = min(1.0, longest_side_px / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(decoded.pixels).resize(size, Image.Resampling.BICUBIC)


@cache
def _decoders() -> DecoderPool:
    # Its process ends when this one does; starting one for each frame would take longer.
    return DecoderPool(processes=1)
