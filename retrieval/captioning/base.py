"""The seam between an index and the models that describe pictures.

A captioner says what it needs, so that whoever has pictures fetches that and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PictureToCaption:
    """A picture as captioners see it.

    `vector`, float32 (dim,), and `patch_tokens`, int8 (patches, token_dim), are what the index's
    encoder made of it; None where they are not at hand, or where the captioner does not need them.
    """

    path: Path
    vector: NDArray[np.float32] | None = None
    patch_tokens: NDArray[np.int8] | None = None


@dataclass(frozen=True)
class Caption:
    """A sentence about a picture, and how sure its model is of it.

    `score`: the mean log-probability of its word pieces, at most 0.
    """

    text: str
    score: float


@runtime_checkable
class Captioner(Protocol):
    """Describes pictures in a sentence each. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """What it is called, as `load_captioner` takes it."""
        ...

    @property
    def needs_tokens(self) -> bool:
        """Whether pictures have to carry their vectors and patch tokens."""
        ...

    @property
    def needs_images(self) -> bool:
        """Whether the pictures' files are opened, so that they have to be there."""
        ...

    def caption(self, pictures: Sequence[PictureToCaption]) -> list[Caption | None]:
        """A caption of each picture, in their order.

        None for one that cannot be looked at: its tokens or its file are missing.
        """
        ...
