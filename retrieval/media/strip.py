"""The moments of a video side by side, as one picture: its strip."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from retrieval.errors import MmsearchError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.preprocess import Preprocessing
from retrieval.media.thumbnails import unsquashed
from retrieval.media.times import clock
from retrieval.media.video import VideoReader

WIDTH_PX = 240
COLUMNS = 6
# The formats of a strip by the end of its file's name, and how high a picture of each may be.
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_HIGHEST_PX = {"JPEG": 65_500, "WEBP": 16_383}
_LABEL_PX = 20
_GAP_PX = 4


def strip_of(path: Path, times_ms: Sequence[int], columns: int = COLUMNS) -> Image.Image:
    """The frames of a video at these times, which ascend, each with its time below it.

    Rows of `columns` frames, 240 pixels wide each. Raises ImageError where the file cannot be read,
    ValueError without a time.
    """
    if not times_ms:
        raise ValueError("A strip has at least one moment.")
    decoders = DecoderPool(processes=1)
    try:
        rule = Preprocessing(WIDTH_PX, "squash")
        frames = [
            unsquashed(frame, WIDTH_PX)
            for frame in VideoReader(decoders).frames_at(path, times_ms, rule)
        ]
    finally:
        decoders.close()
    wide, high = WIDTH_PX + _GAP_PX, max(frame.height for frame in frames) + _LABEL_PX + _GAP_PX
    across = min(columns, len(frames))
    page = Image.new("RGB", (across * wide, math.ceil(len(frames) / across) * high), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=13)
    for place, (frame, time_ms) in enumerate(zip(frames, times_ms, strict=True)):
        left, top = place % across * wide, place // across * high
        page.paste(frame, (left, top))
        draw.text((left + 2, top + high - _LABEL_PX - _GAP_PX), clock(time_ms), "black", font)
    return page


def as_file(image: Image.Image, suffix: str) -> bytes:
    """The strip as the bytes of a file whose name ends so, see `FORMATS`.

    Raises MmsearchError for another end, and for a strip that is higher than the format allows.
    """
    form = FORMATS.get(suffix.lower())
    if form is None:
        raise MmsearchError(f"A strip is a file that ends with {', '.join(FORMATS)}, not {suffix}.")
    if image.height > _HIGHEST_PX.get(form, image.height):
        raise MmsearchError(f"The strip is too high for {form}: save it as .png.")
    out = io.BytesIO()
    image.save(out, form, quality=85)
    return out.getvalue()
