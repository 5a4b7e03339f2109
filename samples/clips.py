"""Small video clips made of photographs, whose truth is known: which photo is seen from when.

Each shot pans or zooms over one photograph; shots follow each other by cuts or by dissolves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Move = Literal["still", "pan", "zoom"]


@dataclass(frozen=True)
class Shot:
    """A photograph for some seconds; a pan goes over a quarter of it, a zoom to two thirds."""

    photo: Path
    seconds: float = 2.0
    move: Move = "pan"


@dataclass(frozen=True)
class ClipFormat:
    """How a clip is encoded. `rotation_deg` is how players turn it, counterclockwise."""

    width_px: int = 320
    height_px: int = 240
    frames_per_s: int = 12
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rotation_deg: int = 0
    dissolve_s: float = 0.0
    options: dict[str, str] = field(default_factory=lambda: {"preset": "ultrafast"})
    metadata: dict[str, str] = field(default_factory=dict)


def write_clip(
    path: Path, shots: Sequence[Shot], form: ClipFormat | None = None
) -> list[tuple[int, int]]:
    """Write a clip; returns when each shot begins and ends, in milliseconds.

    A dissolve lies around the border of two shots.
    """
    form = form or ClipFormat()
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        out.metadata.update(form.metadata)
        stream = out.add_stream(form.codec, rate=form.frames_per_s, options=form.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = form.width_px, form.height_px
        stream.pix_fmt = form.pixel_format
        if form.rotation_deg:
            stream.set_display_rotation(form.rotation_deg)
        for number, picture in enumerate(frames(shots, form)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, form.frames_per_s)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    rate = form.frames_per_s
    spans, start = [], 0
    for shot in shots:
        end = start + round(shot.seconds * rate)
        spans.append((round(1000 * start / rate), round(1000 * end / rate)))
        start = end
    return spans


def frames(shots: Sequence[Shot], form: ClipFormat) -> Iterator[NDArray[np.uint8]]:
    """The frames of the shots one after another, uint8 (height, width, 3)."""
    counts = [round(shot.seconds * form.frames_per_s) for shot in shots]
    half = round(form.dissolve_s * form.frames_per_s / 2)
    photos: list[Image.Image | None] = [None] * len(shots)

    def seen(number: int, place: int) -> NDArray[np.float32]:
        photo = photos[number]
        if photo is None:
            with Image.open(shots[number].photo) as opened:
                photo = photos[number] = opened.convert("RGB")
        share = min(1.0, max(0.0, place / max(1, counts[number] - 1)))
        return _view(photo, shots[number].move, share, (form.width_px, form.height_px))

    for number, count in enumerate(counts):
        for place in range(count):
            picture = seen(number, place)
            # How far the neighbour across the nearer border is in.
            other, mix = number, 0.0
            if half and number + 1 < len(shots) and count - place <= half:
                other, mix = number + 1, 0.5 * (1 - (count - place) / half)
            elif half and number and place < half:
                other, mix = number - 1, 0.5 * (1 - place / half)
            if mix:
                shifted = place - count if other > number else counts[other] + place
                picture = (1 - mix) * picture + mix * seen(other, shifted)
            yield picture.astype(np.uint8)
        if number:
            photos[number - 1] = None


def _view(
    photo: Image.Image, move: Move, share: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """What the camera sees of a photograph when this share of its way is done."""
    width, height = photo.size
    scale = 1.0 if move == "still" else 0.75 if move == "pan" else 1.0 - share / 3
    wide, high = width * scale, height * scale
    left = (width - wide) * (share if move == "pan" else 0.5)
    top = (height - high) / 2
    view = photo.resize(size, Image.Resampling.BILINEAR, (left, top, left + wide, top + high))
    return np.asarray(view, dtype=np.float32)
