"""A picture altered as copies are: cropped, mirrored, compressed; to measure how near those lie."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CROP = 0.8
_QUALITY = 40


def altered_copies(image: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """Copies of an RGB picture: 80 % of either side from anywhere, mirrored, compressed."""
    width, height = (max(1, round(side * _CROP)) for side in image.size)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    compressed = io.BytesIO()
    image.save(compressed, "JPEG", quality=_QUALITY)
    with Image.open(compressed) as opened:
        opened.load()
        return [
            image.crop((left, top, left + width, top + height)),
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            opened.copy(),
        ]


def in_shape(pixels: NDArray[np.uint8], width_px: int, height_px: int) -> Image.Image:
    """A picture that was squashed to a square, (S, S, 3), in its shape again."""
    side = len(pixels)
    factor = side / max(width_px, height_px)
    size = (max(1, round(width_px * factor)), max(1, round(height_px * factor)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
