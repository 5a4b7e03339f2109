"""Pictures that people drop on the page to ask with, kept in memory for a while.

They are decoded in the guarded process at once; what is kept is a thumbnail and the picture's
vector, and never the file.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders.base import Encoder
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import MmsearchError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.search.engine import SearchEngine
from web.small_pictures import small_picture

_SIDE_PX = 360


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture's vector, of which space it is, and until when it is kept (monotonic clock).

    `image` is a small picture of it; the size in pixels is that of the upright file.
    """

    name: str
    vector: NDArray[np.float32]
    space: EmbeddingSpace
    image: Image.Image
    width_px: int
    height_px: int
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

    def add(self, data: bytes, encoder: Encoder) -> Upload:
        """Keep a file's picture.

        Raises ImageError where the bytes are no picture or have too many pixels.
        """
        image = small_picture(data, _SIDE_PX, self._decoders, self._most_pixels)
        # As the engine encodes a file that it is asked with.
        decoded = self._decoders.decode(data, encoder.preprocessing)
        vector = encoder.encode_images(decoded.pixels[np.newaxis]).vectors[0]
        name = secrets.token_urlsafe(16)
        kept = Upload(
            name,
            vector,
            encoder.space,
            image,
            decoded.width_px,
            decoded.height_px,
            time.monotonic() + self._keep_s,
        )
        with self._lock:
            self._forget_old()
            self._kept[name] = kept
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return kept

    def vector(self, name: str, engine: SearchEngine) -> NDArray[np.float32]:
        """The vector, (dim,), of the picture of that name; raises as `get`.

        MmsearchError `not-found`, too, where the index has moved to another model since.
        """
        kept = self.get(name)
        if kept.space != engine.encoder.space:
            raise _gone()
        return kept.vector

    def get(self, name: str) -> Upload:
        """The picture of that name; MmsearchError `not-found` where there is none any more."""
        with self._lock:
            self._forget_old()
            kept = self._kept.get(name)
        if kept is None:
            raise _gone()
        return kept

    def _forget_old(self) -> None:
        now_s = time.monotonic()
        for name in [name for name, kept in self._kept.items() if kept.until_s < now_s]:
            del self._kept[name]


def _gone() -> MmsearchError:
    return MmsearchError("That picture is no longer kept: add it again.", code="not-found")
