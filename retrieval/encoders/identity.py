"""Whether an encoder's vectors fit those of an index."""

from __future__ import annotations

from retrieval.encoders.base import EncoderIdentity
from retrieval.errors import EncoderMismatchError


def require_same_identity(made_by: EncoderIdentity, chosen: EncoderIdentity) -> None:
    """Raise EncoderMismatchError unless `chosen` is the encoder that made the index."""
    if chosen != made_by:
        raise mismatch(made_by, chosen.name, chosen.fingerprint)


def mismatch(
    made_by: EncoderIdentity, name: str, fingerprint: str | None = None
) -> EncoderMismatchError:
    """The error for a model whose vectors do not compare with those of the index."""
    other = f"{name} ({fingerprint[:8]})" if fingerprint else name
    return EncoderMismatchError(
        f"The index was made with {made_by.name} ({made_by.fingerprint[:8]}), whose vectors do "
        f"not compare with those of {other}.",
        made_by=made_by.name,
        model=name,
    )
