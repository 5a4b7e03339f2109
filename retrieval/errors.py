"""The errors that mmsearch raises, one small tree.

    MmsearchError
    ├── IndexMissingError        there is nothing to ask
    ├── EncoderMismatchError     vectors of two models do not compare
    ├── UnknownModelError        no such model, or its weights are missing
    ├── IndexBusyError           another process writes
    ├── CatalogError             the catalogue cannot be used
    │   └── DamagedCatalogError  its file is damaged
    ├── StorageError             the disk is full or fails
    ├── VectorStoreError         the vector store cannot be used
    ├── QueryError               a condition of a question makes no sense
    ├── LabelError               a file of labels makes no sense
    └── ImageError               one picture cannot be used

Each error says what is wrong in a sentence that can be shown to a person as it stands, and carries
a `code`, a stable word for programs, with the `facts` that the sentence is made of. What to do
about it depends on where the person is: a command line or a web page looks that up by the code.
"""

from __future__ import annotations

from typing import Any


class MmsearchError(Exception):
    """Anything that mmsearch raises on purpose; its text is meant for a person.

    `code` is a stable word for programs, the class's own unless one is given; `facts` are the
    names and numbers of the text, by name.
    """

    code = "error"

    def __init__(self, text: str, *, code: str | None = None, **facts: object) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        # As it comes, an exception is made anew by calling its class with its text alone.
        return _remade, (type(self), self.args, self.__dict__)


def first_line(error: BaseException) -> str:
    """What another library's error says, shortened to its first line; its kind if it is mute."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _remade(
    kind: type[MmsearchError], arguments: tuple[Any, ...], state: dict[str, Any]
) -> MmsearchError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class IndexMissingError(MmsearchError):
    """There is no index to ask, or there is nothing in it."""

    code = "index-missing"


class EncoderMismatchError(MmsearchError):
    """The index was made with another encoder, whose vectors cannot be compared with these."""

    code = "encoder-mismatch"


class UnknownModelError(MmsearchError):
    """No encoder or reranker goes by that name, or its weights are not available."""

    code = "unknown-model"


class IndexBusyError(MmsearchError):
    """Another process is writing to the index."""

    code = "index-busy"


class CatalogError(MmsearchError):
    """The catalogue cannot be read or written."""

    code = "catalog"


class DamagedCatalogError(CatalogError):
    """The catalogue's file is damaged; `reason` is what the database says of it."""

    code = "catalog-damaged"

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason=reason)
        self.reason = reason


class QueryError(MmsearchError):
    """A question, or a condition in it, makes no sense; the text shows the place."""

    code = "query"


class RelevanceUnknownError(MmsearchError):
    """Whether an answer fits is asked of a model or of a question of which that is not known."""

    code = "relevance-unknown"


class StorageError(MmsearchError):
    """The disk that holds the index is full, or fails."""

    code = "storage"


class VectorStoreError(MmsearchError):
    """The vector store is not to be reached, refuses, or is no such thing."""

    code = "vector-store"


class LabelError(MmsearchError):
    """A file of labels cannot be read or makes no sense; the text names the line."""

    code = "labels"


class ImageError(MmsearchError):
    """One picture cannot be read or decoded; the text says why.

    `kind`, which is also the code, groups reasons for counting: one of `unreadable`, `empty`,
    `not-a-picture`, `damaged`, `too-large`, `vanished`, `loop`, `timeout`, `crashed`,
    `unsupported`.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason, code=kind)
        self.kind = kind
        self.reason = reason
