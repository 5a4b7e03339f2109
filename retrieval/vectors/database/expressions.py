"""A restriction to ids in the words of a database that takes expressions.

Pictures are numbered as they are indexed, so that a folder's ids are mostly a few long runs. Such
are said by their ends, which costs the database nothing to read; anything else is a list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.vectors.base import Ids

# Each run is compared with every row, a list is looked up: with more runs the list is quicker.
MOST_RUNS = 8


def id_expression(
    within: Ids | None, without: Ids | None, roots: tuple[int, ...] | None = None
) -> str:
    """`root in [1] and id >= 5 and id <= 9` and its like; empty where all may answer.

    `within` and `without` are as in `VectorIndex.search`, `roots` has those of `within`.
    """
    parts = []
    if roots is not None:
        parts.append(f"root in [{','.join(map(str, roots))}]")
    if within is not None:
        parts.append(_among(within))
    if without is not None and len(without):
        parts.append(f"id not in [{_listed(without)}]")
    return " and ".join(parts)


def _among(ids: Ids) -> str:
    starts, ends = runs(ids)
    if len(starts) > MOST_RUNS or len(starts) > len(ids) // 2:
        return f"id in [{_listed(ids)}]"
    spans = [
        f"(id >= {start} and id <= {end})"
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return f"({' or '.join(spans)})"


def runs(ids: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last id of each run of ids that follow each other."""
    ordered = np.unique(ids)
    breaks = np.flatnonzero(np.diff(ordered) != 1)
    return (
        ordered[np.concatenate([[0], breaks + 1])],
        ordered[np.concatenate([breaks, [len(ordered) - 1]])],
    )


def _listed(ids: Ids) -> str:
    return ",".join(map(str, ids.tolist()))
