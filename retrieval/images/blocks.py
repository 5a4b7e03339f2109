"""The blocks of metadata that a file holds, as they are found in whatever format it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from retrieval.images.exif import First, locate

# Of what is longer only the beginning is read; panoramas put pictures into XMP.
MAX_BLOCK_BYTES = 8 * 2**20
# IPTC data is texts, and of these only short ones are kept.
MAX_IPTC_BYTES = 2**20
# Honest files have one block of a kind, or two; more only cost time.
_MAX_BLOCKS = 4


@dataclass
class Blocks:
    """What a file holds, each kind in the order it was found.

    Attributes:
        exif: Blocks of EXIF data, and what the first directory in each is.
        xmp: Packets of XMP.
        iptc: Records of IPTC.
        texts: The texts of a PNG by their keyword.
        video_date: When a video that is part of the picture was made.
    """

    exif: list[tuple[memoryview, First]] = field(default_factory=list)
    xmp: list[bytes] = field(default_factory=list)
    iptc: list[bytes] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    video_date: datetime | None = None

    def add_exif(self, payload: memoryview, first: First = First.MAIN) -> None:
        """Add what a container holds as EXIF data, where there is a head of TIFF in it."""
        block = locate(payload)
        if block is not None and len(self.exif) < _MAX_BLOCKS:
            self.exif.append((block, first))

    def add_xmp(self, packet: memoryview) -> None:
        """Add a packet of XMP."""
        if len(self.xmp) < _MAX_BLOCKS:
            self.xmp.append(bytes(packet[:MAX_BLOCK_BYTES]))

    def add_iptc(self, records: memoryview | bytes) -> None:
        """Add records of IPTC; none where there are none."""
        if records and len(self.iptc) < _MAX_BLOCKS:
            self.iptc.append(bytes(records[:MAX_IPTC_BYTES]))
