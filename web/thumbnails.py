"""Thumbnails, made when they are first asked for and kept in the index's folder up to a size.

They are named by the content they show, so that a file that moves keeps its thumbnails, and copies
share them. Safe to delete.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retrieval.catalog.originals import Original
from retrieval.images.decoder_pool import DecoderPool
from retrieval.search.engine import SearchEngine
from web.pictures import Pictures, require_original
from web.small_pictures import encoded, small_item

SIZES_PX = (180, 360, 720, 1440)
# What is thrown away when the limit is met, so that it is not met again at the next picture.
_KEEP_SHARE = 0.8


class Thumbnails:
    """Small pictures on disk, the least recently made thrown away first. Thread-safe."""

    def __init__(self, folder: Path, decoders: DecoderPool, limit_bytes: int) -> None:
        self._folder = folder
        self._decoders = decoders
        self._limit_bytes = limit_bytes
        self._taken_bytes: int | None = None
        self._lock = threading.Lock()
        self._making: dict[str, _Making] = {}

    def get(
        self, engine: SearchEngine, pictures: Pictures, item_id: int, size_px: int, *, avif: bool
    ) -> tuple[bytes, str, str]:
        """A thumbnail's bytes, its form, `webp` or `avif`, and a tag that names its content.

        AVIF where it is taken and smaller. Raises ImageError where the picture cannot be decoded,
        MmsearchError as `Pictures.open`.
        """
        original = require_original(engine, item_id)
        name = _name(original, size_px)
        found = self._kept(name, avif=avif)
        if found is None:
            with self._alone(name):
                found = self._kept(name, avif=avif)
                if found is None:
                    found = self._make(engine, pictures, item_id, original, size_px, avif=avif)
        data, form = found
        return data, form, f'"{name}-{form}"'

    def _kept(self, name: str, *, avif: bool) -> tuple[bytes, str] | None:
        if avif:
            # An empty file says that AVIF is not smaller.
            data = self._read(f"{name}.avif")
            if data:
                return data, "avif"
            if data is None:
                return None
        data = self._read(f"{name}.webp")
        return (data, "webp") if data else None

    def _make(
        self,
        engine: SearchEngine,
        pictures: Pictures,
        item_id: int,
        original: Original,
        size_px: int,
        *,
        avif: bool,
    ) -> tuple[bytes, str]:
        longest = min(size_px, max(original.width_px, original.height_px))
        with pictures.open(engine, item_id) as (opened, file):
            image = small_item(opened, file, longest, self._decoders)
        name = _name(original, size_px)
        webp = encoded(image, "webp")
        self._write(f"{name}.webp", webp)
        if not avif:
            return webp, "webp"
        smaller = encoded(image, "avif")
        if len(smaller) >= len(webp):
            smaller = b""
        self._write(f"{name}.avif", smaller)
        return (smaller, "avif") if smaller else (webp, "webp")

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except OSError:
            return None

    def _write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        # A thumbnail that cannot be kept is made again.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{secrets.token_hex(8)}")
            unfinished.write_bytes(data)
            unfinished.replace(path)
            self._count(len(data))

    def _count(self, added: int) -> None:
        with self._lock:
            if self._taken_bytes is None:
                self._taken_bytes = sum(size for _, size, _ in self._all())
            else:
                self._taken_bytes += added
            if self._taken_bytes > self._limit_bytes:
                self._taken_bytes = self._make_room()

    def _make_room(self) -> int:
        """Throw away the oldest; how many bytes are left."""
        kept = sorted(self._all(), reverse=True)
        left = 0
        for _, size, path in kept:
            if left + size <= self._limit_bytes * _KEEP_SHARE:
                left += size
            else:
                path.unlink(missing_ok=True)
        return left

    def _all(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                facts = os.stat(path)  # noqa: PTH116
                yield facts.st_mtime, facts.st_size, path

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Only one thread at a time in the block, for one name."""
        with self._lock:
            making = self._making.setdefault(name, _Making())
            making.waiting += 1
        try:
            with making.lock:
                yield
        finally:
            with self._lock:
                making.waiting -= 1
                if not making.waiting:
                    self._making.pop(name, None)


def _name(original: Original, size_px: int) -> str:
    moment = "" if original.time_ms is None else f"-{original.time_ms}"
    return f"{original.content_hash.hex()}-{size_px}{moment}"


class _Making:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting = 0
