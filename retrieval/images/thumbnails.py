"""Thumbnails of photographs, for pages."""

from __future__ import annotations

import io
from pathlib import Path

from retrieval.images.decode import read_image


def jpeg_thumbnail(path: Path, longest_side_px: int) -> bytes:
    """The picture at `path` as a small JPEG. Raises ImageError where it cannot be read."""
    image = read_image(path, longest_side_px)
    image.thumbnail((longest_side_px, longest_side_px))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()
