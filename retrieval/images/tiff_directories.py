"""The directories of a TIFF file, which is also what EXIF data and most RAW files are.

A directory lists fields: tag, type, number of values, and the values or where they are. Values are
looked at only when asked for, and never beyond a bound, whatever sizes the directory claims.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

# TIFF and BigTIFF, and Panasonic's and Olympus' RAW files, which differ in nothing but the head.
HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
_BIG_HEADS = (b"II+\0", b"MM\0+")
_RATIONALS = {5: "I", 10: "i"}
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"} | {
    11: "f",
    12: "d",
}
# Bytes a value, by type; 129 is EXIF 3's UTF-8.
_SIZES = {kind: struct.calcsize(code) for kind, code in _NUMBERS.items()}
_SIZES |= {2: 1, 5: 8, 7: 1, 10: 8, 129: 1}
_MAX_NUMBERS = 16
# Cameras write a hundred or two.
_MAX_FIELDS = 4096


@dataclass(frozen=True)
class Field:
    """One field of a directory: its type as TIFF numbers them, its bytes and their order."""

    kind: int
    raw: memoryview
    order: str

    def numbers(self) -> list[float | None]:
        """The first few values as numbers; None for a fraction with a denominator of zero."""
        count = min(len(self.raw) // _SIZES[self.kind], _MAX_NUMBERS)
        if self.kind in _RATIONALS:
            code = _RATIONALS[self.kind] * (2 * count)
            parts = struct.unpack_from(self.order + code, self.raw)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return [above / below if below else None for above, below in pairs]
        if self.kind not in _NUMBERS:
            return []
        values = struct.unpack_from(self.order + _NUMBERS[self.kind] * count, self.raw)
        return [value if math.isfinite(value) else None for value in values]

    def head(self, length: int) -> bytes:
        """The first bytes, no more than there are."""
        return bytes(self.raw[:length])


Directory = dict[int, Field]


@dataclass(frozen=True)
class TiffData:
    """A block of TIFF data, of which directories can be read by their offset."""

    block: memoryview
    order: str
    big: bool

    @classmethod
    def opened(cls, block: memoryview) -> TiffData | None:
        """The data that begin with a head of TIFF; None where they do not."""
        head = bytes(block[:4])
        if head not in HEADS:
            return None
        return cls(block, "<" if head.startswith(b"II") else ">", head in _BIG_HEADS)

    def first(self) -> Directory:
        """The directory that the head points at."""
        return self.directory(self._unsigned(8 if self.big else 4))

    def directory(self, at: float | None) -> Directory:
        """The directory at an offset; as far as it goes where it is cut off, or empty.

        Of fields with the same tag the first counts, and none of a type that TIFF does not know.
        """
        fields: Directory = {}
        if at is None or not 8 <= at < len(self.block):
            return fields
        at = int(at)
        step = 20 if self.big else 12
        count = self._unsigned(at) if self.big else self._short(at)
        start = at + (8 if self.big else 2)
        room = min(count, _MAX_FIELDS, (len(self.block) - start) // step)
        for entry in range(start, start + room * step, step):
            tag, kind = self._short(entry), self._short(entry + 2)
            if kind in _SIZES and tag not in fields:
                fields[tag] = Field(kind, self._values(entry, _SIZES[kind]), self.order)
        return fields

    def _values(self, entry: int, size: int) -> memoryview:
        length = self._unsigned(entry + 4) * size
        at = entry + (12 if self.big else 8)
        if length > (8 if self.big else 4):
            at = self._unsigned(at)
        return self.block[at : at + length]

    def _short(self, at: int) -> int:
        """Two bytes; 0 beyond the end."""
        if at + 2 > len(self.block):
            return 0
        return int(struct.unpack_from(self.order + "H", self.block, at)[0])

    def _unsigned(self, at: int) -> int:
        """A size or an offset, which takes 4 bytes in TIFF and 8 in BigTIFF; 0 beyond the end."""
        width = 8 if self.big else 4
        if at + width > len(self.block):
            return 0
        return int(struct.unpack_from(self.order + ("Q" if self.big else "I"), self.block, at)[0])
