"""Whether what an index keeps of a file is still what the file shows."""

from __future__ import annotations

from retrieval.catalog.originals import Original, original_of
from retrieval.catalog.sqlite.quick_reader import QuickReader


def is_as_indexed(item_id: int, reader: QuickReader) -> bool:
    """Whether an item's file is there with the size and time of modification that it had.

    True as well where it was imported from elsewhere, so that it need not be on this machine: then
    what the index keeps is all there is.
    """
    original = original_of(reader.raw_rows, item_id)
    if original is None:
        return False
    if is_same_file(original):
        return True
    return any(original.path.is_relative_to(root) for root in reader.full.elsewhere())


def is_same_file(original: Original) -> bool | None:
    """Whether a file has the size and time that it was indexed with; None where it is gone."""
    try:
        facts = original.path.stat()
    except OSError:
        return None
    return (facts.st_size, facts.st_mtime_ns) == (original.size_bytes, original.mtime_ns)
