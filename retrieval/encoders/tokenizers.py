"""Texts to token ids as open_clip makes them, without open_clip: CLIP's byte-pair steps, and the
tokenizers of Hugging Face from their own json.

The steps are those of `open_clip.tokenizer` (from OpenAI's CLIP, MIT licence), token by token the
same; `retrieval.encoders.onnx.export.tokenizer` writes the files that are read here.
"""

from __future__ import annotations

import html
import json
import re
import string
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Clean = Literal["lower", "canonicalize", "whitespace"]
TokenIds = NDArray[np.int64]

SETTINGS_FILE = "tokenizer.json"
MERGES_FILE = "merges.txt"
HF_FILE = "hf_tokenizer.json"

_SPECIAL = ("<start_of_text>", "<end_of_text>")
_CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
# A text's words repeat; the bound keeps a server that runs for months from growing.
_KNOWN_WORDS = 65_536


class TextTokenizer(Protocol):
    """Texts to the ids that a text tower takes."""

    def __call__(self, texts: Sequence[str]) -> TokenIds:
        """Ids int64 (n, context_length), padded and cut at the end."""
        ...


def load_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer whose files `write_tokenizer` left in a folder. Raises OSError, ValueError."""
    settings: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
    if settings.pop("kind") == "clip":
        merges = (folder / MERGES_FILE).read_text("utf-8").split("\n")
        return ClipTokenizer(merges, **settings)
    return HuggingFaceTokenizer(folder / HF_FILE, **settings)


class ClipTokenizer:
    """CLIP's byte-pair encoding, as open_clip's `SimpleTokenizer`.

    `merges` are the pairs of symbols, each "LEFT RIGHT", in the order in which they merge.
    """

    def __init__(
        self,
        merges: Sequence[str],
        context_length: int = 77,
        clean: Clean = "lower",
        additional_special: Sequence[str] = (),
    ) -> None:
        self._context_length = context_length
        self._clean = clean_function(clean)
        symbols = byte_symbols()
        special = [*_SPECIAL, *additional_special]
        vocabulary = [*symbols.values(), *(symbol + "</w>" for symbol in symbols.values())]
        vocabulary += [merge.replace(" ", "") for merge in merges]
        vocabulary += special
        # Where two merges make one symbol the later id counts, as in open_clip.
        self._ids = dict(zip(vocabulary, range(len(vocabulary)), strict=True))
        self._ranks = dict(zip(merges, range(len(merges)), strict=True))
        self._special = special
        self._byte_symbols = symbols
        self._known: dict[str, list[int]] = {mark: [self._ids[mark]] for mark in special}

    def __call__(self, texts: Sequence[str]) -> TokenIds:
        """Ids int64 (n, context_length), padded with 0 and cut so that the end mark stays."""
        start, end = (self._ids[mark] for mark in _SPECIAL)
        found = np.zeros((len(texts), self._context_length), dtype=np.int64)
        for row, text in zip(found, texts, strict=True):
            ids = [start, *self.encode(text), end][: self._context_length]
            if len(ids) == self._context_length:
                ids[-1] = end
            row[: len(ids)] = ids
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without the marks at its start and end."""
        ids: list[int] = []
        cleaned = self._clean(text)
        for word in self._split(cleaned):
            symbols = "".join(self._byte_symbols[byte] for byte in word.encode("utf-8"))
            ids += self._word_ids(symbols)
        return ids

    def _split(self, text: str) -> list[str]:
        # Of ASCII, Python's own module knows all there is to know, and `regex` takes a while to
        # load.
        found: list[str] = (self._ascii_words if text.isascii() else self._unicode_words).findall(
            text
        )
        return found

    @cached_property
    def _ascii_words(self) -> re.Pattern[str]:
        return re.compile(
            rf"{'|'.join(self._special)}|{_CONTRACTIONS}|[a-z]+|[0-9]|[^\sa-z0-9]+",
            re.IGNORECASE | re.ASCII,
        )

    @cached_property
    def _unicode_words(self) -> Any:
        import regex

        return regex.compile(
            rf"{'|'.join(self._special)}|{_CONTRACTIONS}|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+",
            regex.IGNORECASE,
        )

    def _word_ids(self, word: str) -> list[int]:
        known = self._known.get(word)
        if known is None:
            known = [self._ids[symbol] for symbol in self._merged(word)]
            if len(self._known) < _KNOWN_WORDS:
                self._known[word] = known
        return known

    def _merged(self, word: str) -> list[str]:
        """The symbols of a word once every merge that applies is made, lowest rank first."""
        symbols = [*word[:-1], word[-1] + "</w>"]
        while len(symbols) > 1:
            pairs = [f"{left} {right}" for left, right in pairwise(symbols)]
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged: list[str] = []
            place = 0
            while place < len(symbols):
                if place < len(pairs) and pairs[place] == best:
                    merged.append(symbols[place] + symbols[place + 1])
                    place += 2
                else:
                    merged.append(symbols[place])
                    place += 1
            symbols = merged
        return symbols


class HuggingFaceTokenizer:
    """A tokenizer of Hugging Face from its json, as open_clip's `HFTokenizer` uses it."""

    def __init__(
        self,
        file: Path,
        context_length: int,
        clean: Clean,
        pad_id: int,
        pad_token: str,
        pad_direction: str,
        cut_direction: str,
        blanked_id: int | None = None,
    ) -> None:
        from tokenizers import Tokenizer

        self._clean = clean_function(clean)
        self._blanked_id = blanked_id
        tokenizer: Tokenizer = Tokenizer.from_file(str(file))
        tokenizer.enable_truncation(context_length, direction=cut_direction)
        tokenizer.enable_padding(
            length=context_length, pad_id=pad_id, pad_token=pad_token, direction=pad_direction
        )
        self._tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> TokenIds:
        """Ids int64 (n, context_length)."""
        encoded = self._tokenizer.encode_batch([self._clean(text) for text in texts])
        ids: TokenIds = np.array([encoding.ids for encoding in encoded], dtype=np.int64)
        return ids if self._blanked_id is None else np.where(ids == self._blanked_id, 0, ids)


def clean_function(clean: Clean) -> Callable[[str], str]:
    """What is done to a text before it is cut into words."""
    return {"lower": _lower, "canonicalize": _canonicalize, "whitespace": _whitespace}[clean]


def byte_symbols() -> dict[int, str]:
    """A printable character for each byte, in the order of CLIP's vocabulary."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {
        byte: chr(256 + place) for place, byte in enumerate(hidden)
    }


def _whitespace(text: str) -> str:
    return " ".join(_fixed(text).split())


def _lower(text: str) -> str:
    return _whitespace(text).lower()


def _canonicalize(text: str) -> str:
    bare = _fixed(text).replace("_", " ").translate(_NO_PUNCTUATION)
    return " ".join(bare.lower().split())


def _fixed(text: str) -> str:
    """Mojibake mended and HTML entities resolved."""
    if text.isascii() and text.isprintable() and "&" not in text:
        # Nothing there to mend, and ftfy takes a while to load.
        return text.strip()
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()
