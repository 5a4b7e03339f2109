"""Pictures that people drop on the page to ask with, kept in memory for a while.

They are decoded in the guarded process at once; what is kept is a small picture, large enough for
any encoder, and never the file.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from PIL import Image

from retrieval.errors import MmsearchError
from retrieval.images.decoder_pool import DecoderPool
from web.small_pictures import small_picture

# Larger than what any encoder sees.
_SIDE_PX = 768


@dataclass(frozen=True, eq=False)
class Upload:
    """A small picture, and until when it is kept, on the monotonic clock."""

    image: Image.Image
    until_s: float


class Uploads:
    """The last pictures that were uploaded, by names that cannot be guessed. Thread-safe."""

    def __init__(self, decoders: DecoderPool, most: int, keep_s: float, most_pixels: int) -> None:
        self._decoders = decoders
        self._most = most
        self._keep_s = keep_s
        self._most_pixels = most_pixels
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> tuple[str, Image.Image]:
        """Keep a file's picture; its name, and the picture.

        Raises ImageError where the bytes are no picture, MmsearchError `too-large` where it has
        too many pixels.
        """
        image = small_picture(data, _SIDE_PX, self._decoders, self._most_pixels)
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._forget_old()
            self._kept[name] = Upload(image, time.monotonic() + self._keep_s)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return name, image

    def get(self, name: str) -> Image.Image:
        """The picture of that name; MmsearchError `not-found` where there is none any more."""
        with self._lock:
            self._forget_old()
            kept = self._kept.get(name)
        if kept is None:
            raise MmsearchError("That picture is no longer kept: add it again.", code="not-found")
        return kept.image

    def _forget_old(self) -> None:
        now_s = time.monotonic()
        for name in [name for name, kept in self._kept.items() if kept.until_s < now_s]:
            del self._kept[name]
