"""Pictures of an index read again, in processes that may die: for thumbnails and for measuring."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from retrieval.catalog.records import Item
from retrieval.errors import ImageError
from retrieval.images.copies import PREPROCESSING, Thumbnail
from retrieval.images.decode import DecodedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.preprocess import Preprocessing
from retrieval.media.readers import reader_of

# 64 KiB each.
_KEPT = 4096


class ReadablePictures:
    """Reads the files of items; what cannot be read is None, and counted in `unreadable`."""

    def __init__(self) -> None:
        self._pool = DecoderPool()
        self._threads = ThreadPoolExecutor(self._pool.processes)
        self._thumbnails: OrderedDict[int, Thumbnail | None] = OrderedDict()
        self._failed: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()

    @property
    def unreadable(self) -> int:
        """How many pictures could not be read, gone ones included."""
        return len(self._failed)

    def thumbnails(self, items: Mapping[int, Item]) -> dict[int, Thumbnail]:
        """What copies are told by, by item id, of those that can be read."""
        lacking = [item for id_, item in items.items() if id_ not in self._thumbnails]
        for item, decoded in zip(lacking, self.decoded(lacking, PREPROCESSING), strict=True):
            self._thumbnails[item.id] = (
                None
                if decoded is None
                else Thumbnail.of(decoded.pixels, decoded.width_px, decoded.height_px)
            )
        found = {}
        for id_ in items:
            self._thumbnails.move_to_end(id_)
            thumbnail = self._thumbnails[id_]
            if thumbnail is not None:
                found[id_] = thumbnail
        while len(self._thumbnails) > _KEPT:
            self._thumbnails.popitem(last=False)
        return found

    def decoded(
        self, items: Iterable[Item], preprocessing: Preprocessing
    ) -> list[DecodedImage | None]:
        """The pictures of items, in their order; None for one that cannot be read."""
        return list(self._threads.map(lambda item: self._decode(item, preprocessing), items))

    def _decode(self, item: Item, preprocessing: Preprocessing) -> DecodedImage | None:
        try:
            reader = reader_of(item.path.name, self._pool)
            return reader.show(item.path, item.time_ms, preprocessing)
        except ImageError:
            self._failed.add(item.id)
            return None
