"""An open picture as a PNG file, upright and in sRGB, with the facts that its EXIF data tell."""

from __future__ import annotations

import io

from PIL import Image

from retrieval.images.decode import read_image

_ORIENTATION_TAG = 0x0112


def as_png(image: Image.Image) -> bytes:
    """The bytes of a PNG file of the picture. Raises ImageError where it cannot be read."""
    upright = read_image(image)
    facts = image.getexif()
    # The pixels are upright now.
    facts.pop(_ORIENTATION_TAG, None)
    out = io.BytesIO()
    upright.save(out, "PNG", exif=facts.tobytes() if len(facts) else b"")
    return out.getvalue()
