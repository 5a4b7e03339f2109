"""Reading and decoding, in threads, ahead of the encoder and bounded in bytes.

Pillow and hashlib let other threads run while they work, so threads keep all cores busy without
the cost of handing pixels between processes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.scan import ScannedFile
from retrieval.errors import PictureError
from retrieval.pictures import DecodedPicture, declared_pixels, decode
from retrieval.preprocessing import Preprocessing

# What all open files may take together: their bytes and their decoded pixels.
MEMORY_BUDGET_BYTES = 384 * 2**20
# No photograph is that large; reading a disk image that is called .tif would fill the memory.
MAX_FILE_BYTES = 2**30
_BYTES_A_PIXEL = 4
_AHEAD_A_WORKER = 16


@dataclass(frozen=True)
class LoadedFile:
    """A file that was read. Exactly one of the last three says what came of it.

    `known_ids`: pictures of the same content are in the catalogue, nothing was decoded.
    `picture`: it was decoded. `failure`: it could not be.
    """

    file: ScannedFile
    content_hash: bytes
    known_ids: tuple[int, ...] = ()
    picture: DecodedPicture | None = None
    failure: PictureError | None = None


class Loader:
    """Turns scanned files into loaded ones, in order, some way ahead of whoever takes them.

    `find_content` says which pictures have a content hash; `preprocessing` is asked for when the
    first picture is decoded, so that a run without new pictures loads no model.
    """

    def __init__(
        self,
        root: Path,
        find_content: Callable[[bytes], Sequence[int]],
        preprocessing: Callable[[], Preprocessing],
        workers: int | None = None,
    ) -> None:
        self._root = root
        self._find_content = find_content
        self._preprocessing = preprocessing
        self._workers = workers or max(2, os.cpu_count() or 2)
        self._budget = ByteBudget(MEMORY_BUDGET_BYTES)

    def load(self, files: Iterable[ScannedFile]) -> Iterator[LoadedFile]:
        """Read, hash, and decode what is not known yet; order is kept."""
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        waiting: deque[Future[LoadedFile]] = deque()
        try:
            for file in files:
                waiting.append(pool.submit(self._load_one, file, self._find_content))
                if len(waiting) >= self._workers * _AHEAD_A_WORKER:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def load_again(self, file: ScannedFile) -> LoadedFile:
        """Read and decode a file whose content has turned out not to be known after all."""
        return self._load_one(file, lambda _content: ())

    def _load_one(
        self, file: ScannedFile, find_content: Callable[[bytes], Sequence[int]]
    ) -> LoadedFile:
        content_hash = b""
        try:
            with self._budget.hold(file.size_bytes):
                data = _read(self._root / file.path)
                content_hash = hashlib.blake2b(data, digest_size=16).digest()
                known = tuple(find_content(content_hash))
                if known:
                    return LoadedFile(file, content_hash, known_ids=known)
                pixels = declared_pixels(data)
            with self._budget.hold(len(data) + pixels * _BYTES_A_PIXEL):
                picture = decode(data, self._preprocessing())
                return LoadedFile(file, content_hash, picture=picture)
        except PictureError as failure:
            return LoadedFile(file, content_hash, failure=failure)


class ByteBudget:
    """A number of bytes that threads share; a claim on more than all of it gets it alone."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._free = total_bytes
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, wanted_bytes: int) -> Iterator[None]:
        """Claim the bytes for the length of the block; waits until they are free."""
        size = min(wanted_bytes, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise PictureError("too-large", "the file is larger than 1 GiB")
            return file.read()
    except FileNotFoundError as error:
        raise PictureError("vanished", "the file is no longer there") from error
    except OSError as error:
        raise PictureError("unreadable", f"it cannot be read ({error.strerror})") from error
