"""Vectors as the catalogue's rows hold them, as one array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stacked(
    ids: Sequence[int], vectors: Sequence[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Ids, int64 (n,) ascending, and their vectors, float16 (n, dim).

    A vector of another size than most is damaged, and left out.
    """
    if not vectors:
        return np.empty(0, np.int64), np.empty((0, 0), np.float16)
    sizes = Counter(map(len, vectors))
    size = sizes.most_common(1)[0][0]
    if len(sizes) > 1:
        sound = [place for place, vector in enumerate(vectors) if len(vector) == size]
        ids, vectors = [ids[place] for place in sound], [vectors[place] for place in sound]
    numbers = np.frombuffer(b"".join(vectors), dtype="<f2").reshape(len(vectors), -1)
    held = np.array(ids, dtype=np.int64)
    if (np.diff(held) < 0).any():
        order = np.argsort(held)
        held, numbers = held[order], numbers[order]
    return held, numbers
