"""Whether a text can be written as UTF-8."""

from __future__ import annotations


def is_utf8(text: str) -> bool:
    """Whether it can; what was read of bytes in another encoding holds lone surrogates instead."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
