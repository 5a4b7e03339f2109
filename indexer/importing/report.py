"""What came of importing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ImportReport:
    """Counts of pictures. `model` is the encoder that answers for their vectors.

    `here` are items with a file on this machine, `elsewhere` those without. `known` were in the
    index already, by their content. `failed` files could not be read. `skipped` had a vector of no
    length. `likeness` is the mean cosine of a few vectors with those that the encoder makes of the
    same pictures, None where none of them could be compared.
    """

    model: str = ""
    here: int = 0
    elsewhere: int = 0
    known: int = 0
    failed: int = 0
    skipped: int = 0
    likeness: float | None = None
    interrupted: bool = False
    elapsed_s: float = 0.0
