"""How a decoded picture is brought to the size that an encoder sees: a description, no pixels.

The work itself is `retrieval.images.decode.to_pixels`; normalisation by mean and deviation belongs
to the encoder, so that pixels travel as bytes, a quarter of the size of floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resize = Literal["squash", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Preprocessing:
    """The resize rule of an encoder.

    `resize`: "squash" scales both sides to `size_px`, keeping the whole picture in view;
    "crop" scales the shorter side to `size_px` and keeps the centre square, as CLIP does; "pad"
    scales the longer side to `size_px` and fills the rest with the grey `fill_value`, 0 to 255.
    """

    size_px: int
    resize: Resize = "crop"
    interpolation: Interpolation = "bicubic"
    fill_value: int = 0
