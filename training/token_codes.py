"""The eight-bit code that patch tokens are kept in."""

from __future__ import annotations

from torch import Tensor

# Four standard deviations reach the largest code, 127.
_DEVIATIONS = 4.0


def eight_bit_step(tokens: Tensor) -> float:
    """The step of an eight-bit code that holds nearly all numbers of tokens, of any shape."""
    return float(_DEVIATIONS * tokens.std() / 127.0)
