"""Several vectors of one space as one: their weighted average. NumPy only; nothing is learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LEAST_LENGTH = 1e-6


def weighted_average(vectors: NDArray[np.float32], weights: Sequence[float]) -> NDArray[np.float32]:
    """The weighted average of unit vectors (n, dim), of unit length, (1, dim).

    In a shared space the vectors may be of pictures, of words or of both. Nearest to the average
    is what is near to all of them together.
    """
    mean = np.asarray(weights, dtype=np.float32) @ vectors
    length = float(np.linalg.norm(mean))
    # Opposites that leave nothing are no question; the first one is taken.
    fused = mean / length if length > _LEAST_LENGTH else vectors[0]
    return np.ascontiguousarray(fused[np.newaxis], dtype=np.float32)
