"""Small pictures for pages: decoded in the guarded process, encoded anew without EXIF."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from PIL import Image

from retrieval.catalog.originals import Original
from retrieval.errors import ImageError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.formats import MAX_PIXELS
from retrieval.images.preprocess import Preprocessing
from retrieval.media.thumbnails import unsquashed
from retrieval.media.video import VideoReader, identity_of

_QUALITY = {"webp": 80, "avif": 60, "jpeg": 85}


def small_picture(
    data: bytes, longest_side_px: int, decoders: DecoderPool, most_pixels: int = MAX_PIXELS
) -> Image.Image:
    """A file's picture, upright and RGB, its longer side at most so long.

    Raises ImageError where the bytes cannot be decoded, or where there are more pixels.
    """
    # Squashed to a square and drawn out again, since squares are what the decoder gives.
    decoded = decoders.decode(data, Preprocessing(longest_side_px, "squash"))
    if decoded.width_px * decoded.height_px > most_pixels:
        raise ImageError("too-large", f"It has more than {most_pixels // 10**6} megapixels.")
    return unsquashed(decoded, longest_side_px)


def small_item(
    original: Original, file: BinaryIO, longest_side_px: int, decoders: DecoderPool
) -> Image.Image:
    """What an item shows, a picture or a video's frame, its longer side at most so long.

    `file` is the item's, opened. Raises ImageError.
    """
    if original.time_ms is None:
        return small_picture(file.read(), longest_side_px, decoders)
    # The decoder opens the path again: it has to be the very file that was opened here.
    frames = VideoReader(decoders).frames_at(
        original.path,
        [original.time_ms],
        Preprocessing(longest_side_px, "squash"),
        identity=identity_of(os.fstat(file.fileno())),
    )
    return unsquashed(next(iter(frames)), longest_side_px)


def encoded(image: Image.Image, form: str) -> bytes:
    """A picture as `webp`, `avif` or `jpeg`, with pixels and nothing else."""
    out = io.BytesIO()
    speed = {"speed": 8} if form == "avif" else {}
    image.save(out, form.upper(), quality=_QUALITY[form], **speed)
    return out.getvalue()
