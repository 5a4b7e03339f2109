"""Reading, hashing and decoding, ahead of the encoder and bounded in bytes.

Threads read and hash, which lets other threads run; decoding, and reading what a file says of
itself, is left to processes of its own, where a hostile file does no harm.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from indexer.pipeline.scan import ScannedFile
from retrieval.catalog.records import CONTENT_HASH_BYTES
from retrieval.errors import ImageError
from retrieval.images.byte_budget import ByteBudget
from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.facts import ImageMetadata
from retrieval.images.files import read_known_file
from retrieval.images.preprocess import Preprocessing
from retrieval.media.base import is_supported

# What the bytes of all files in hand may take together; a larger one is in hand alone.
FILE_BUDGET_BYTES = 128 * 2**20
# Files are read while all decoders are at work, so that none waits for a slow disk.
_READERS_BESIDE_DECODERS = 2
_AHEAD_A_DECODER = 16


@dataclass(frozen=True)
class LoadedFile:
    """A file that was read. Exactly one of `known_ids`, `items`, `failure` says what came of it.

    `known_ids`: files of the same content are in the catalogue; nothing was decoded, and
    `metadata` is what the file says of itself. `items`: what a question may find in it, decoded; a
    picture is one. `failure`: it could not be read.
    """

    file: ScannedFile
    content_hash: bytes
    known_ids: tuple[int, ...] = ()
    items: tuple[DecodedImage, ...] = ()
    failure: ImageError | None = None
    metadata: ImageMetadata | None = None


class Loader:
    """Turns scanned files into loaded ones, in order, some way ahead of whoever takes them.

    `find_content` says which files have a content hash; `preprocessing` is asked for when the
    first picture is decoded, so that a run without new pictures loads no model. `decoders` may be
    shared with other loaders.
    """

    def __init__(
        self,
        root: Path,
        find_content: Callable[[bytes], Sequence[int]],
        preprocessing: Callable[[], Preprocessing],
        decoders: DecoderPool,
    ) -> None:
        self._root = root
        self._find_content = find_content
        self._preprocessing = preprocessing
        self._decoders = decoders
        self._budget = ByteBudget(FILE_BUDGET_BYTES)

    def load(self, files: Iterable[ScannedFile]) -> Iterator[LoadedFile]:
        """Read, hash, and decode what is not known yet; order is kept.

        Where the caller stops before the end, decoding is ended with it.
        """
        readers = self._decoders.processes + _READERS_BESIDE_DECODERS
        pool = ThreadPoolExecutor(readers, thread_name_prefix="load")
        waiting: deque[Future[LoadedFile]] = deque()
        try:
            for file in files:
                waiting.append(pool.submit(self._load_one, file, self._find_content))
                if len(waiting) >= self._decoders.processes * _AHEAD_A_DECODER:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            self._decoders.close()
            raise
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
            if not is_supported(file.path):
                raise ImageError(
                    "unsupported", "`pip install 'mmsearch[raw]'` lets RAW files be read"
                )
            path = self._root / file.path
            with self._budget.hold(_size_now(path)):
                data = read_known_file(path)
                content_hash = hashlib.blake2b(data, digest_size=CONTENT_HASH_BYTES).digest()
                known = tuple(find_content(content_hash))
                if known:
                    metadata = self._decoders.read_metadata(data)
                    return LoadedFile(file, content_hash, known_ids=known, metadata=metadata)
                image = self._decoders.decode(data, self._preprocessing())
                return LoadedFile(file, content_hash, items=(image,))
        except ImageError as failure:
            return LoadedFile(file, content_hash, failure=failure)


def _size_now(path: Path) -> int:
    """What is to be read, which may be more by now than when the folder was scanned."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
