"""The errors that mmsearch raises, one small tree.

Every message is one sentence or two that name what is wrong and what to do; a program may
show it to a person as it stands. Each class carries the exit code of the command line.
"""

from __future__ import annotations


class MmsearchError(Exception):
    """Anything that mmsearch raises on purpose; its text is meant for a person."""

    exit_code = 1


class IndexMissingError(MmsearchError):
    """There is no index to ask, or there is nothing in it."""

    exit_code = 2


class EncoderMismatchError(MmsearchError):
    """The index was made with another encoder, whose vectors cannot be compared with these."""

    exit_code = 3


class UnknownModelError(MmsearchError):
    """No encoder or reranker goes by that name, or its weights cannot be had."""

    exit_code = 4


class IndexBusyError(MmsearchError):
    """Another process is writing to the index."""

    exit_code = 5


class CatalogError(MmsearchError):
    """The catalogue cannot be read or written."""

    exit_code = 6


class DamagedCatalogError(CatalogError):
    """The catalogue's file is damaged; `reason` is what the database says of it."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class StorageError(MmsearchError):
    """The disk that holds the index is full, or fails."""

    exit_code = 7


class ImageError(MmsearchError):
    """One picture cannot be read or decoded; the text says why.

    `kind` groups reasons for counting: one of `unreadable`, `empty`, `not-a-picture`,
    `damaged`, `too-large`, `vanished`, `loop`, `timeout`, `crashed`, `unsupported`.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
