"""Makes the pictures in this folder: 96x64 pixels, EXIF DateTimeOriginal, as common writers do it.

Run it in this folder. The pixels differ with the versions of the encoders; what counts is how
the date is stored.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

PREFIX = b"Exif\0\0"


def main() -> None:
    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((96, 64))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2021:07:18 16:04:05"
    tiff = exif.tobytes().removeprefix(PREFIX)
    for name, file_format in (("a.avif", "AVIF"), ("a.heic", "HEIF")):
        data = encoded(picture, file_format, exif=exif.tobytes())
        Path(f"with-prefix-{name}").write_bytes(data)
        Path(f"without-prefix-{name}").write_bytes(without_prefix(data, tiff))
    Path("raw-profile.png").write_bytes(with_raw_profile(encoded(picture, "PNG"), PREFIX + tiff))


def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, file_format, **options)
    return out.getvalue()


def without_prefix(data: bytes, tiff: bytes) -> bytes:
    """The EXIF item with offset 0 and the TIFF head at once, as avifenc and cameras write it.

    The prefix goes behind the TIFF data, so that no box changes its size.
    """
    at = data.index(b"\0\0\0\6" + PREFIX + tiff)
    return data[:at] + b"\0\0\0\0" + tiff + b"\0" * 6 + data[at + 10 + len(tiff) :]


def with_raw_profile(png: bytes, raw: bytes) -> bytes:
    """The EXIF data in hexadecimal digits within a zTXt chunk, as ImageMagick 6 wrote it."""
    digits = raw.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\nexif\n{len(raw):8d}\n{lines}\n".encode()
    body = b"zTXt" + b"Raw profile type exif\0\0" + zlib.compress(text)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    # The first chunk, which is always as long, ends here.
    return png[:33] + chunk + png[33:]


if __name__ == "__main__":
    main()
