"""What browsers show of indexed files, by the first bytes; the rest is given out to be kept."""

from __future__ import annotations

from pathlib import Path

from retrieval.images.formats import image_format
from retrieval.media.base import VIDEO, kind_of

_PICTURES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
_EBML = b"\x1a\x45\xdf\xa3"
_OGG = b"OggS"


def media_type_of(head: bytes, path: Path) -> str | None:
    """The media type of a file by its first bytes; None for what browsers do not show."""
    picture = _PICTURES.get(image_format(head) or "")
    if picture is not None or kind_of(path.name) != VIDEO:
        return picture
    if head[4:8] == b"ftyp":
        return "video/mp4"
    # Matroska is what WebM is a part of, and browsers play of it what they play of WebM.
    return "video/webm" if head[:4] == _EBML else "video/ogg" if head[:4] == _OGG else None
