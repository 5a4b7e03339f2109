"""Which kind of vector index suits how many vectors.

Looking at every vector is exact and quick enough for a small collection. With one byte a number
in place of two it is quicker and nearly exact; above that, an inverted file or a graph looks at a
part of the vectors. How large a part is not guessed but measured: see `tuning` beside it. Of many
millions hardly more than a bit a number is kept, and the best are compared again: see `refined`.
"""

from __future__ import annotations

import math
import re

from retrieval.errors import MmsearchError

AUTO = "auto"
EXACT, SQ8, IVF, HNSW, RABITQ = "exact", "sq8", "ivf", "hnsw", "rabitq"
CHOICES = (AUTO, EXACT, SQ8, IVF, HNSW, RABITQ)
# Those that are lists of vectors, each about a centroid.
INVERTED = (IVF, RABITQ)

# FAISS factory strings. Float16 codes: the cosine is off by less than 0.001 from float32.
FLAT_HALVES = "SQfp16"
FLAT_BYTES = "SQ8"
GRAPH = "HNSW32,SQ8"

# Up to how many vectors `auto` takes each kind; few bits a number above.
LARGEST_EXACT = 20_000
LARGEST_SQ8 = 60_000
LARGEST_IVF = 5_000_000
# A list's centroid needs some points to be learnt from; FAISS complains about fewer.
POINTS_A_LIST = 39
# What was learnt from a sample is learnt anew when the collection is so many times larger.
_OUTGROWN = 4


def choose_kind(count: int, choice: str = AUTO) -> str:
    """The factory string for `count` vectors under one of the `CHOICES`.

    The lists of an inverted file are a power of two near 2·√count. Raises MmsearchError for
    another choice.
    """
    check_choice(choice)
    family = _family_for(count) if choice == AUTO else choice
    if family == EXACT:
        return FLAT_HALVES
    if family == SQ8:
        return FLAT_BYTES
    if family in INVERTED:
        wanted = 2 ** round(math.log2(2 * math.sqrt(max(1, count))))
        lists = f"IVF{max(1, min(wanted, count // POINTS_A_LIST))}"
        # Turned at random, so that no number of a vector says more than the others.
        return f"{lists},SQ8" if family == IVF else f"RR,{lists},RaBitQ"
    return GRAPH


def check_choice(choice: str) -> None:
    """Raise MmsearchError where it is not one of the `CHOICES`."""
    if choice not in CHOICES:
        raise MmsearchError(
            f"There is no vector index called {choice}: give one of {', '.join(CHOICES)}."
        )


def is_outgrown(kind: str, count: int, trained_on: int, choice: str = AUTO) -> bool:
    """True where `count` vectors, or the choice, call for another index than one of this kind.

    `trained_on` is how many vectors there were when the index learnt from a sample of them.
    Under `auto` a collection may shrink to half of a kind's smallest size before the kind changes.
    """
    family = family_of(kind)
    if family != EXACT and count >= _OUTGROWN * max(1, trained_on):
        return True
    if choice != AUTO:
        return family != choice
    return family not in (_family_for(count), _family_for(2 * count))


def family_of(kind: str) -> str:
    """Which of the choices, `auto` aside, a factory string belongs to."""
    if kind == FLAT_HALVES:
        return EXACT
    if kind == FLAT_BYTES:
        return SQ8
    if kind.endswith("RaBitQ"):
        return RABITQ
    return IVF if kind.startswith("IVF") else HNSW


def count_lists(kind: str) -> int:
    """How many lists an inverted file has; 1 for other kinds."""
    match = re.search(r"IVF(\d+)", kind)
    return int(match.group(1)) if match else 1


def _family_for(count: int) -> str:
    if count <= LARGEST_EXACT:
        return EXACT
    if count <= LARGEST_SQ8:
        return SQ8
    return IVF if count <= LARGEST_IVF else RABITQ
