"""Whether what an index keeps of a file is still what the file shows."""

from __future__ import annotations

from retrieval.catalog.originals import original_of
from retrieval.catalog.sqlite.quick_reader import QuickReader


def is_as_indexed(item_id: int, reader: QuickReader) -> bool:
    """Whether an item's file is there with the size and time of modification that it had.

    True as well where it was imported from elsewhere, so that it need not be on this machine: then
    what the index keeps is all there is.
    """
    original = original_of(reader.raw_rows, item_id)
    if original is None:
        return False
    try:
        facts = original.path.stat()
        if (facts.st_size, facts.st_mtime_ns) == (original.size_bytes, original.mtime_ns):
            return True
    except OSError:
        pass
    return any(original.path.is_relative_to(root) for root in reader.full.elsewhere())
