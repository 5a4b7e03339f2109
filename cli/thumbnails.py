"""Small pictures for pages: thumbnails of photographs, and heat maps to lay over them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.pictures import read_picture


def jpeg_thumbnail(path: Path, longest_side_px: int) -> bytes:
    """The picture at `path` as a small JPEG. Raises PictureError where it cannot be read."""
    picture = read_picture(path, longest_side_px)
    picture.thumbnail((longest_side_px, longest_side_px))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()


def heat_png(heat: NDArray[np.float32]) -> bytes:
    """Weights (rows, columns), of any scale, as a PNG that is the more opaque the hotter.

    A page stretches it over the picture, which smooths it.
    """
    low, high = float(heat.min()), float(heat.max())
    share = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    pixels = np.empty((*heat.shape, 4), np.uint8)
    pixels[..., :3] = (255, 90, 0)
    pixels[..., 3] = np.round(share * 190)
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, "PNG", optimize=True)
    return out.getvalue()
