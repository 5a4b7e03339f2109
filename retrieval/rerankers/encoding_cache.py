"""What a large reranker makes of candidates' pictures, kept in memory up to a number of bytes.

Reads and decodes files; what encodes the pixels is given.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ImageError
from retrieval.images.decode import read_image, to_pixels
from retrieval.images.preprocess import Preprocessing
from retrieval.media.thumbnails import shown

Encoded = NDArray[np.float32]
DEFAULT_MAX_BYTES = 256 * 1024 * 1024

_DECODERS = 4
# A file by its place, its time and its size, so that one that changed is encoded again, and a
# moment within it.
_FileKey = tuple[str, int, int, int | None]


class EncodingCache:
    """Encodings of picture files, the least recently used dropped first. Thread-safe.

    `encode` takes pixels, uint8 (n, size_px, size_px, 3), to float32 (n, …).
    """

    def __init__(
        self,
        encode: Callable[[NDArray[np.uint8]], Encoded],
        preprocessing: Preprocessing,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._encode = encode
        self._preprocessing = preprocessing
        self._max_bytes = max_bytes
        self._kept: OrderedDict[_FileKey, Encoded] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """How much memory the encodings kept take."""
        return self._bytes

    def batches(
        self, paths: Sequence[Path], size: int, times_ms: Sequence[int | None] = ()
    ) -> Iterator[tuple[list[int], Encoded]]:
        """Places in `paths` with the encodings of the files there, float32 (b, …), b ≤ `size`.

        `times_ms`: of each, where in a video it is, None for a picture. Files that cannot be read
        are left out.
        """
        times = list(times_ms) or [None] * len(paths)
        with ThreadPoolExecutor(_DECODERS) as pool:
            for start in range(0, len(paths), size):
                places = range(start, min(start + size, len(paths)))
                keys = {place: _key(paths[place], times[place]) for place in places}
                found = {place: self._recall(key) for place, key in keys.items() if key is not None}
                missing = [place for place, encoded in found.items() if encoded is None]
                read = pool.map(
                    self._pixels, (paths[i] for i in missing), (times[i] for i in missing)
                )
                pixels = dict(zip(missing, read, strict=True))
                readable = [place for place in missing if pixels[place] is not None]
                if readable:
                    fresh = self._encode(np.stack([p for p in pixels.values() if p is not None]))
                    for place, encoded in zip(readable, fresh, strict=True):
                        # A copy: a view would keep the whole batch alive.
                        found[place] = self._keep(keys[place], encoded.copy())
                whole = {place: own for place, own in found.items() if own is not None}
                if whole:
                    yield list(whole), np.stack(list(whole.values()))

    def _pixels(self, path: Path, time_ms: int | None) -> NDArray[np.uint8] | None:
        try:
            if time_ms is not None:
                return shown(path, time_ms, self._preprocessing).pixels
            image = read_image(path, self._preprocessing.size_px)
        except ImageError:
            return None
        return to_pixels(image, self._preprocessing)

    def _recall(self, key: _FileKey) -> Encoded | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: _FileKey | None, encoded: Encoded) -> Encoded:
        if key is not None:
            with self._lock:
                before = self._kept.pop(key, None)
                self._bytes += encoded.nbytes - (0 if before is None else before.nbytes)
                self._kept[key] = encoded
                while self._bytes > self._max_bytes:
                    self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return encoded


def _key(path: Path, time_ms: int | None) -> _FileKey | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size, time_ms
