"""TIFF and DNG files byte by byte, of sorts that Pillow does not write: deep colours, RAW."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}
_FORMS = {1: "B", 2: "c", 3: "H", 4: "I", 5: "I", 10: "i"}
Tag = tuple[int, int, Sequence[int]]
Strip = tuple[list[Tag], bytes]


def tiff(directory: list[Tag], pixels: bytes, below: Strip | None = None) -> bytes:
    """A little-endian TIFF of one strip; `below` is a sub-directory with a strip of its own."""
    data = bytearray(b"II*\0\0\0\0\0")
    if below is not None:
        at = _append(data, *below)
        directory = [*directory, (0x014A, 4, [at])]
    struct.pack_into("<I", data, 4, _append(data, directory, pixels))
    return bytes(data)


def dng(photo: Image.Image, preview: bytes | None = None, orientation: int = 1) -> bytes:
    """A RAW file as cameras write it: a Bayer mosaic of `photo`, and a JPEG `preview` before it.

    `photo` is as the sensor was held; `orientation` says how it is turned upright.
    """
    colours = (np.asarray(photo.convert("RGB")) / 255.0) ** 2.2
    rows, columns = colours.shape[0] // 2 * 2, colours.shape[1] // 2 * 2
    mosaic = np.empty((rows, columns))
    for row, column, band in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = colours[row:rows:2, column:columns:2, band]
    sensor: list[Tag] = [
        (0x00FE, 4, [0]),
        (0x0100, 4, [columns]),
        (0x0101, 4, [rows]),
        (0x0102, 3, [16]),
        (0x0103, 3, [1]),
        (0x0106, 3, [32803]),
        (0x0115, 3, [1]),
        (0x0116, 4, [rows]),
        (0x828D, 3, [2, 2]),
        (0x828E, 1, [0, 1, 1, 2]),
        (0xC61A, 4, [0]),
        (0xC61D, 4, [65535]),
    ]
    camera: list[Tag] = [
        (0x010F, 2, b"Maker\0"),
        (0x0110, 2, b"Model\0"),
        (0x0112, 3, [orientation]),
        (0xC612, 1, [1, 4, 0, 0]),
        (0xC614, 2, b"Maker Model\0"),
        # From XYZ to linear sRGB, in ten-thousandths: the sensor sees as a screen shows.
        (0xC621, 10, _ratios([32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570])),
        (0xC628, 5, _ratios([10000, 10000, 10000])),
        (0xC65A, 3, [21]),
    ]
    data = (mosaic * 65535).astype("<u2").tobytes()
    if preview is None:
        return tiff(sensor + camera, data)
    with Image.open(io.BytesIO(preview)) as opened:
        width, height = opened.size
    shown: list[Tag] = [
        (0x00FE, 4, [1]),
        (0x0100, 4, [width]),
        (0x0101, 4, [height]),
        (0x0102, 3, [8, 8, 8]),
        (0x0103, 3, [7]),
        (0x0106, 3, [6]),
        (0x0115, 3, [3]),
        (0x0116, 4, [height]),
    ]
    return tiff(shown + camera, preview, (sensor, data))


def deep_rgb_tiff(photo: Image.Image) -> bytes:
    """The photograph with 16 bits a colour."""
    pixels = np.asarray(photo.convert("RGB")).astype("<u2") * 257
    height, width = pixels.shape[:2]
    tags: list[Tag] = [
        (0x0100, 4, [width]),
        (0x0101, 4, [height]),
        (0x0102, 3, [16, 16, 16]),
        (0x0103, 3, [1]),
        (0x0106, 3, [2]),
        (0x0115, 3, [3]),
        (0x0116, 4, [height]),
    ]
    return tiff(tags, pixels.tobytes())


def _append(data: bytearray, directory: list[Tag], strip: bytes) -> int:
    """Append a strip and the directory that points to it; returns where the directory is."""
    tags = sorted([*directory, (0x0111, 4, [len(data)]), (0x0117, 4, [len(strip)])])
    data += strip + b"\0" * (len(strip) % 2)
    entries = bytearray()
    for tag, kind, values in tags:
        packed = struct.pack(f"<{len(values)}{_FORMS[kind]}", *values) if kind != 2 else values
        count = len(packed) // _SIZES[kind]
        if len(packed) > 4:
            packed, place = struct.pack("<I", len(data)), packed
            data += bytes(place) + b"\0" * (len(place) % 2)
        entries += struct.pack("<HHI", tag, kind, count) + bytes(packed).ljust(4, b"\0")
    at = len(data)
    data += struct.pack("<H", len(tags)) + entries + bytes(4)
    return at


def _ratios(numerators: list[int]) -> list[int]:
    return [number for numerator in numerators for number in (numerator, 10000)]
