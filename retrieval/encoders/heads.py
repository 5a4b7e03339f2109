"""Small linear maps after an encoder's towers, learnt from one's own captions. NumPy only.

Adapters at the end of frozen towers, in the manner of Gao et al., *CLIP-Adapter: Better
Vision-Language Models with Feature Adapters* (2021), one matrix each and no layer between.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors

HEADS_FILE = "heads.npz"


@dataclass(frozen=True)
class Head:
    """A residual linear map of unit vectors: v to v + W v + b, brought to unit length.

    `weight`: float32 (dim, dim); `bias`: float32 (dim,). With both at nought it changes nothing.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def apply(self, vectors: Vectors) -> Vectors:
        """Vectors (n, dim) → (n, dim)."""
        moved = vectors + vectors @ self.weight.T + self.bias
        return np.ascontiguousarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


@dataclass(frozen=True)
class Heads:
    """The maps of both towers; None where a tower's vectors stay as they are."""

    texts: Head | None = None
    images: Head | None = None

    def write(self, folder: Path) -> None:
        """Write `heads.npz`. Raises OSError."""
        arrays: dict[str, NDArray[np.float32]] = {}
        for name, head in (("texts", self.texts), ("images", self.images)):
            if head is not None:
                arrays |= {f"{name}_weight": head.weight, f"{name}_bias": head.bias}
        with (folder / HEADS_FILE).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write` left in a folder. Raises OSError, ValueError, KeyError."""
        with np.load(folder / HEADS_FILE, allow_pickle=False) as found:
            heads = {
                name: Head(found[f"{name}_weight"], found[f"{name}_bias"])
                for name in ("texts", "images")
                if f"{name}_weight" in found
            }
        return cls(**heads)
