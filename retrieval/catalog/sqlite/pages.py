"""The rows in a SQLite file, read page by page, whatever has become of the trees above them.

SQLite finds rows through a tree of pages; where a page of it is damaged, all below is out of its
reach. The rows themselves stand in leaf pages, each of which can be read alone. The format is
described in "Database File Format", https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

Value = int | float | str | bytes | None

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_USUAL_PAGE_BYTES = 4096
_TABLE_LEAF = 0x0D
_INDEX_LEAF = 0x0A
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
# No row of the catalogue comes near; a damaged length must not fill the memory.
_LARGEST_ROW_BYTES = 16 * 2**20


def leaf_rows(path: Path) -> Iterator[tuple[int, tuple[Value, ...]]]:
    """Rowid and values of each row in a table's leaf page, of all tables; damaged ones left out.

    A column that is an alias of the rowid has the value None. Pages that SQLite has set free are
    passed over where its list of them can be read.
    """
    with path.open("rb") as file:
        pages = _Pages(file, path.stat().st_size)
        free = pages.free_pages()
        for number in range(1, pages.count + 1):
            if number not in free:
                yield from pages.rows(number)


def index_rows(path: Path) -> Iterator[tuple[Value, ...]]:
    """What stands in the leaf pages of all indexes: their columns, then the rowid."""
    with path.open("rb") as file:
        pages = _Pages(file, path.stat().st_size)
        free = pages.free_pages()
        for number in range(1, pages.count + 1):
            if number not in free:
                yield from pages.index_rows(number)


class _Pages:
    """The pages of one file, numbered from 1."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._header = header = file.read(_HEADER_BYTES)
        size = int.from_bytes(header[16:18], "big")
        size = 65536 if size == 1 else size
        is_sound = header.startswith(_MAGIC) and 512 <= size <= 65536 and size & (size - 1) == 0
        self.size = size if is_sound else _USUAL_PAGE_BYTES
        self._usable = self.size - (header[20] if is_sound else 0)
        self.count = size_bytes // self.size

    def read(self, number: int) -> bytes:
        """One page; empty where there is none."""
        if not 1 <= number <= self.count:
            return b""
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def free_pages(self) -> set[int]:
        """The pages that hold nothing any more."""
        free: set[int] = set()
        if not self._header.startswith(_MAGIC):
            return free
        trunk = int.from_bytes(self._header[32:36], "big")
        while trunk and trunk not in free:
            page = self.read(trunk)
            if len(page) < 8:
                break
            free.add(trunk)
            trunk, count = struct.unpack(">II", page[:8])
            if count > len(page) // 4 - 2:
                break
            free.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
        return free

    def rows(self, number: int) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """The rows of a page, where it is a leaf of a table."""
        page = self.read(number)
        for place in self._cells(page, number, _TABLE_LEAF):
            with suppress(IndexError, ValueError, struct.error):
                length, after = _varint(page, place)
                rowid, start = _varint(page, after)
                yield rowid, self._record(page, start, length, self._usable - 35)

    def index_rows(self, number: int) -> Iterator[tuple[Value, ...]]:
        """The rows of a page, where it is a leaf of an index."""
        page = self.read(number)
        for place in self._cells(page, number, _INDEX_LEAF):
            with suppress(IndexError, ValueError, struct.error):
                length, start = _varint(page, place)
                yield self._record(page, start, length, (self._usable - 12) * 64 // 255 - 23)

    def _cells(self, page: bytes, number: int, kind: int) -> Sequence[int]:
        """Where the rows of a page begin; none where it is of another kind."""
        start = _HEADER_BYTES if number == 1 else 0
        if len(page) < self.size or page[start] != kind:
            return ()
        (cells,) = struct.unpack_from(">H", page, start + 3)
        if start + 8 + 2 * cells > len(page):
            return ()
        return struct.unpack_from(f">{cells}H", page, start + 8)

    def _record(self, page: bytes, place: int, length: int, largest: int) -> tuple[Value, ...]:
        """The values of a row that begins at `place`; one over `largest` goes on elsewhere."""
        if not 0 < length <= _LARGEST_ROW_BYTES:
            raise ValueError("no row is that long")
        local = length
        if length > largest:
            least = (self._usable - 12) * 32 // 255 - 23
            fitting = least + (length - least) % (self._usable - 4)
            local = fitting if fitting <= largest else least
        if place + local > len(page):
            raise ValueError("the row reaches beyond its page")
        record = page[place : place + local]
        if local < length:
            record += self._overflow(page, place + local, length - local)
        return _values(record)

    def _overflow(self, page: bytes, place: int, missing: int) -> bytes:
        parts: list[bytes] = []
        (number,) = struct.unpack_from(">I", page, place)
        while missing > 0:
            further = self.read(number)
            if not further:
                raise ValueError("the rest of the row is not there")
            (number,) = struct.unpack_from(">I", further)
            part = further[4 : 4 + min(missing, self._usable - 4)]
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for step in range(9):
        byte = data[place + step]
        if step == 8:
            value = value << 8 | byte
            return value - 2**64 if value >= 2**63 else value, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + step + 1
    raise AssertionError("a number ends by its ninth byte")


def _values(record: bytes) -> tuple[Value, ...]:
    header_end, place = _varint(record, 0)
    if not 0 < header_end <= len(record):
        raise ValueError("the row's header reaches beyond it")
    kinds: list[int] = []
    while place < header_end:
        kind, place = _varint(record, place)
        kinds.append(kind)
    values: list[Value] = []
    place = header_end
    for kind in kinds:
        value, size = _value(record, place, kind)
        place += size
        values.append(value)
    if place != len(record):
        raise ValueError("the row is longer or shorter than its values")
    return tuple(values)


def _value(record: bytes, place: int, kind: int) -> tuple[Value, int]:
    """A value by its serial type, and how many bytes it takes."""
    if kind == 0:
        return None, 0
    if kind in _INTEGER_BYTES:
        size = _INTEGER_BYTES[kind]
        return int.from_bytes(record[place : place + size], "big", signed=True), size
    if kind == 7:
        return struct.unpack_from(">d", record, place)[0], 8
    if kind in (8, 9):
        return kind - 8, 0
    if kind < 12:
        raise ValueError("no value is of that type")
    size = (kind - 12) // 2
    if place + size > len(record):
        raise ValueError("the value reaches beyond its row")
    data = record[place : place + size]
    return (data if kind % 2 == 0 else data.decode("utf-8")), size
