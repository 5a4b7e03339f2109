"""Checks of what the public functions are called with, each failing in one sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from numbers import Integral, Real

import numpy as np

from retrieval.utf8 import is_utf8


def check_query(query: object) -> None:
    """Raise TypeError unless it is words, a path, a picture or a vector.

    Raises ValueError for empty words.
    """
    if isinstance(query, str):
        check_words(query)
    elif not isinstance(query, os.PathLike | np.ndarray):
        # Here, since words need no Pillow.
        from PIL.Image import Image

        if not isinstance(query, Image):
            raise TypeError(
                "A question is words (str), the path of a picture (os.PathLike), a PIL image or "
                f"a vector (NumPy array), not {type(query).__name__}."
            )


def check_words(text: object) -> None:
    """Raise TypeError unless it is a str, ValueError where it is empty or no UTF-8."""
    if not isinstance(text, str):
        raise TypeError(f"A text is a str, not {type(text).__name__}.")
    if not is_utf8(text):
        raise ValueError("The question is not UTF-8.")
    if not has_words(text):
        raise ValueError("The question is empty: describe what the picture should show.")


def has_words(text: str) -> bool:
    """Whether there is anything to be seen in a text."""
    # A space without width comes along unseen when text is copied from a page.
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def check_texts(texts: object) -> None:
    """Raise TypeError for a single str, or for anything that is no collection of str.

    Iterating over a str would encode its letters.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise TypeError(
            f"Texts are a list of str, not {type(texts).__name__}: put a single text in a list."
        )
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"Texts are a list of str; this one holds {type(text).__name__}.")


def check_count(name: str, value: object) -> None:
    """Raise TypeError unless it is a whole number, ValueError where it is below 1."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is a whole number, not {value!r}.")
    if int(value) < 1:
        raise ValueError(f"{name} is at least 1, not {value}.")


def check_offset(value: object) -> None:
    """Raise TypeError unless it is a whole number, ValueError where it is below 0."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"offset is a whole number, not {value!r}.")
    if int(value) < 0:
        raise ValueError(f"offset is at least 0, not {value}.")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ValueError unless the argument is one of the words."""
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}.")


def check_min_score(value: object) -> None:
    """Raise TypeError unless it is None or a number, ValueError for NaN."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"min_score is a number, not {value!r}.")
    if math.isnan(value):
        raise ValueError("min_score is not a number (NaN).")


def check_times(after: object, before: object) -> None:
    """Raise TypeError unless both are None or datetimes, ValueError where no time lies between."""
    for name, value in (("after", after), ("before", before)):
        if value is not None and not isinstance(value, datetime):
            raise TypeError(f"{name} is a datetime, not {value!r}.")
        if isinstance(value, datetime) and value.tzinfo is not None:
            raise ValueError(f"{name} has a time zone; cameras keep none, so give it without one.")
    if isinstance(after, datetime) and isinstance(before, datetime) and after >= before:
        raise ValueError(f"No time lies between after ({after}) and before ({before}).")


def check_rerank(name: object) -> None:
    """Raise TypeError unless it is the name of a reranker."""
    if not isinstance(name, str):
        raise TypeError(
            f"rerank is the name of a reranker, 'auto' or 'off', not {type(name).__name__}."
        )


def check_pixels(pixels: object, size_px: int) -> None:
    """Raise TypeError unless it is a uint8 array, ValueError unless of (n, size_px, size_px, 3)."""
    shape, dtype = getattr(pixels, "shape", None), getattr(pixels, "dtype", None)
    if shape is None or dtype != "uint8":
        given = type(pixels).__name__ if dtype is None else f"{dtype}"
        raise TypeError(f"Pixels are a NumPy array of uint8, not of {given}.")
    if len(shape) != 4 or shape[1:] != (size_px, size_px, 3):
        raise ValueError(
            f"Pixels have the shape (n, {size_px}, {size_px}, 3), RGB, for this encoder, "
            f"not {tuple(shape)}."
        )


def check_paths(paths: object) -> None:
    """Raise TypeError for a single path, or for anything that is no collection of paths.

    Iterating over a str would walk its letters.
    """
    if isinstance(paths, (str, bytes, os.PathLike)) or not isinstance(paths, Iterable):
        raise TypeError(
            f"Paths are a list of paths, not {type(paths).__name__}: put a single path in a list."
        )
