"""Colours: pictures of any mode, with any colour profile, as RGB in sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

# What ICC calls the colours of a mode of Pillow.
_COLOUR_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}

Extrema = tuple[float, float]


def to_srgb(image: Image.Image, extrema: Extrema | None = None) -> Image.Image:
    """The picture as RGB: transparent on white, deep grey to 8 bits, an embedded profile to sRGB.

    `extrema` are the least and the greatest value of a deep grey picture of which this is a part.
    A profile that makes no sense is passed over.
    """
    profile = image.info.get("icc_profile") or b""
    flat = _flat(image, extrema)
    transform = _transform(profile, flat.mode) if profile or flat.mode == "LAB" else None
    if transform is not None:
        return transform.apply(flat)
    return flat if flat.mode == "RGB" else flat.convert("RGB")


def deep_extrema(image: Image.Image) -> Extrema | None:
    """The least and the greatest value of grey of more than 8 bits; None for other pictures."""
    if not _is_deep(image):
        return None
    import numpy as np

    grey = np.asarray(image)
    if grey.dtype.kind != "f":
        return float(grey.min()), float(grey.max())
    finite = grey[np.isfinite(grey)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def _flat(image: Image.Image, extrema: Extrema | None) -> Image.Image:
    """The picture in one of the modes that profiles are made for."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if _is_deep(image):
        return _stretched(image, extrema or deep_extrema(image) or (0.0, 0.0))
    if image.has_transparency_data:
        # What is transparent shows a page's white, as picture viewers show it.
        if image.mode == "LA":
            grey, opacity = image.split()
            page = Image.new("L", image.size, 255)
            page.paste(grey, mask=opacity)
            return page
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    if image.mode in _COLOUR_SPACES:
        return image
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")


def _stretched(image: Image.Image, extrema: Extrema) -> Image.Image:
    """Grey of 16 or 32 bits to 8: by its type's range, or its own where it goes beyond."""
    import numpy as np

    low, high = extrema
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=high, neginf=low)
    if low >= 0 and 255 < high <= 65535:
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 255 and image.mode != "F":
        low, high = 0.0, 255.0
    if not high > low:
        return Image.new("L", image.size)
    return Image.fromarray(((grey - low) * (255.0 / (high - low))).clip(0, 255).astype(np.uint8))


# Phones give all their pictures the same profile, and making a transform takes milliseconds.
@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colours to sRGB; None where nothing is to be done or can be."""
    from PIL import ImageCms

    try:
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        if source.profile.xcolor_space != _COLOUR_SPACES.get(mode):
            return None
        if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.buildTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
