"""Several questions' work side by side, each done exactly as it would be alone.

Models round by what else is in a batch, so that questions which share one would not be answered
as each is alone. Side by side on the processor's cores they are, and no slower.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def each(function: Callable[[T], U], values: Sequence[T]) -> list[U]:
    """What a function makes of each value, in their order; the first error is raised.

    The function releases the GIL for most of its time, as models do.
    """
    workers = min(len(values), os.cpu_count() or 1)
    if workers < 2:
        return [function(value) for value in values]
    with ThreadPoolExecutor(workers, thread_name_prefix="question") as pool:
        return list(pool.map(function, values))
