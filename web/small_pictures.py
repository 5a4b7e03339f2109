"""Small pictures for pages: decoded in the guarded process, encoded anew without EXIF."""

from __future__ import annotations

import io

from PIL import Image

from retrieval.errors import ImageError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.formats import MAX_PIXELS
from retrieval.images.preprocess import Preprocessing

_QUALITY = {"webp": 80, "avif": 60, "jpeg": 85}


def small_picture(
    data: bytes, longest_side_px: int, decoders: DecoderPool, most_pixels: int = MAX_PIXELS
) -> Image.Image:
    """A file's picture, upright and RGB, its longer side at most so long.

    Raises ImageError where the bytes cannot be decoded, or where there are more pixels.
    """
    # Squashed to a square and drawn out again, since squares are what the decoder gives.
    decoded = decoders.decode(data, Preprocessing(longest_side_px, "squash"))
    width, height = decoded.width_px, decoded.height_px
    if width * height > most_pixels:
        raise ImageError("too-large", f"It has more than {most_pixels // 10**6} megapixels.")
    scale = min(1.0, longest_side_px / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(decoded.pixels).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str) -> bytes:
    """A picture as `webp`, `avif` or `jpeg`, with pixels and nothing else."""
    out = io.BytesIO()
    speed = {"speed": 8} if form == "avif" else {}
    image.save(out, form.upper(), quality=_QUALITY[form], **speed)
    return out.getvalue()
