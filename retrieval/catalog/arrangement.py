"""All items in the order of their times, with what is needed to lay them out: ids and shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

# In the order of `QuickReader.newest`.
_NEWEST = """
SELECT id, width_px, height_px, substr(CAST(taken_at AS TEXT), 1, 7) FROM items WHERE {where}
ORDER BY taken_at IS NULL, taken_at DESC, id DESC
"""


@dataclass(frozen=True)
class Arrangement:
    """Items, the latest taken first and those without a known time last.

    `shapes`: width by height of each, in hundredths; 100 where the size is not known. `months`:
    how many of them follow one another in a month, `2021-07`; None stands for no known time.
    """

    ids: list[int]
    shapes: list[int]
    months: list[tuple[str | None, int]]


def newest_first(rows: Rows, ids: NDArray[np.int64] | None = None) -> Arrangement:
    """Arrange the items with these ids, int64 (n,), or all. `rows` runs a statement in SQL."""
    where, values = "TRUE", tuple[str, ...]()
    if ids is not None:
        where = "id IN (SELECT value FROM json_each(?))"
        values = (json.dumps(ids.tolist()),)
    found = rows(_NEWEST.format(where=where), values)
    return Arrangement(
        [row[0] for row in found],
        [max(1, round(100 * row[1] / row[2])) if row[1] and row[2] else 100 for row in found],
        [(month, len(list(run))) for month, run in groupby(found, key=lambda row: row[3])],
    )
