"""Which vector store an index has, as its catalogue remembers it."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Self

FAISS = "faiss"


@dataclass(frozen=True)
class StoreChoice:
    """Where an index's vectors are searched.

    `address` is `faiss`, for files in the index folder, or a database's, without its password.
    `name` begins the names of the index's tables there, which others may share the database with.
    `stamps` are those that the copy may bear: one with another was written by another index, a
    copy of this one's folder say.
    """

    address: str = FAISS
    name: str = ""
    stamps: tuple[str, ...] = ()

    @classmethod
    def at(cls, address: str) -> Self:
        """A new choice, with tables of its own."""
        if address == FAISS:
            return cls()
        return cls(address, f"mmsearch_{secrets.token_hex(6)}")

    @classmethod
    def of(cls, text: str | None) -> Self:
        """What a catalogue remembers; FAISS where it remembers nothing that can be read."""
        try:
            values = json.loads(text or "{}")
            return cls(
                str(values.get("address", FAISS)),
                str(values.get("name", "")),
                tuple(map(str, values.get("stamps", ()))),
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    @property
    def text(self) -> str:
        """The choice as a catalogue remembers it."""
        return json.dumps(asdict(self))

    def stamped(self, present: str | None) -> Self:
        """The choice with one more stamp, for a copy that is just to be written.

        `present` is the stamp that the copy has until then, and keeps where the writing fails.
        """
        kept = () if present is None else (present,)
        return replace(self, stamps=(*kept, secrets.token_hex(8)))

    def afresh(self) -> Self:
        """The same place with new tables, for a catalogue that is not the one it was.

        Files in the index folder are the folder's own as they are.
        """
        return self.at(self.address)
