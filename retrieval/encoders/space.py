"""The space that an encoder's vectors live in, and whether two are one.

An index is bound to the space of its pictures' vectors. Its fingerprint is of what makes those: the
picture tower and its preprocessing. So another text tower of the same space, a better one or one
for other languages, can ask an index as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from retrieval.errors import EncoderMismatchError


@dataclass(frozen=True)
class EmbeddingSpace:
    """What a set of vectors depends on; vectors of different spaces never mix.

    `fingerprint` is a hash of the picture tower's weights and of its preprocessing. `former` are
    other fingerprints under which an earlier version of mmsearch knew the same space.
    """

    name: str
    dim: int
    fingerprint: str
    former: tuple[str, ...] = field(default=(), compare=False)

    def is_same(self, other: EmbeddingSpace) -> bool:
        """Whether vectors of the two can be compared, whatever the models are called."""
        mine, theirs = {self.fingerprint, *self.former}, {other.fingerprint, *other.former}
        return self.dim == other.dim and not mine.isdisjoint(theirs)


def require_same_space(made_by: EmbeddingSpace, chosen: EmbeddingSpace) -> None:
    """Raise EncoderMismatchError unless vectors of `chosen` compare with those of the index."""
    if not chosen.is_same(made_by):
        raise mismatch(made_by, chosen.name, chosen.fingerprint)


def mismatch(
    made_by: EmbeddingSpace, name: str, fingerprint: str | None = None
) -> EncoderMismatchError:
    """The error for a model whose vectors do not compare with those of the index."""
    other = f"{name} ({fingerprint[:8]})" if fingerprint else name
    return EncoderMismatchError(
        f"The index was made with {made_by.name} ({made_by.fingerprint[:8]}), whose vectors do "
        f"not compare with those of {other}.",
        made_by=made_by.name,
        model=name,
    )
