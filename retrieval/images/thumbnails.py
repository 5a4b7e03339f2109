"""Thumbnails of photographs, for pages."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from retrieval.images.decode import read_image


def jpeg_thumbnail(path: Path, longest_side_px: int) -> bytes:
    """The picture at `path` as a small JPEG. Raises ImageError where it cannot be read."""
    image = read_image(path, longest_side_px)
    image.thumbnail((longest_side_px, longest_side_px))
    return as_jpeg(image)


def as_jpeg(image: Image.Image) -> bytes:
    """A small picture as JPEG, with pixels and nothing else."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()
