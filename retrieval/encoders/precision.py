"""In which arithmetic an encoder's twin runs, and what this processor is good at."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Literal, get_args

from retrieval.errors import UnknownModelError

Precision = Literal["auto", "fp32", "int8"]
Arithmetic = Literal["fp32", "int8"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# Of a twin's int8 weights. A processor with AVX2 and no VNNI adds pairs of products of a byte and a
# weight in 16 bits, which weights of 8 bits overflow; where it does not, the eighth bit is small.
WEIGHT_BITS = 7

# Products of bytes in one instruction: VNNI on x86, the dot product of ARMv8.2. AVX2 takes two or
# three instructions and is still half as fast again as float (measured: 11.9 to 7.4 pictures/s).
_FAST_INT8 = ("AVX512VNNI", "AVX2", "ASIMDDP")


def check_precision(name: str) -> Precision:
    """`name` as a precision. Raises UnknownModelError where it is none."""
    if name not in PRECISIONS:
        raise UnknownModelError(
            f"There is no precision called {name}: give one of {', '.join(PRECISIONS)}."
        )
    return name


def wanted_arithmetic(precision: Precision) -> Arithmetic:
    """What `precision` means on this processor: `auto` is int8 where that is faster."""
    if precision != "auto":
        return precision
    return "int8" if has_fast_int8() else "fp32"


@cache
def has_fast_int8() -> bool:
    """Whether the processor multiplies bytes faster than floats. False where that is not known."""
    # numpy looks at the processor's flags itself, on every system; its older versions keep them
    # elsewhere.
    for module in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        with suppress(ImportError, AttributeError):
            flags: dict[str, bool] = import_module(module).__cpu_features__
            return any(flags.get(flag, False) for flag in _FAST_INT8)
    return False
