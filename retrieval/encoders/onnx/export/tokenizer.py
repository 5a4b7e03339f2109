"""An open_clip tokenizer as files that `retrieval.encoders.tokenizers` reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.onnx.export.errors import ExportError
from retrieval.encoders.tokenizers import (
    HF_FILE,
    MERGES_FILE,
    SETTINGS_FILE,
    load_tokenizer,
)

_SPECIAL_COUNT = 2
# Capitals, digits, punctuation, contractions, odd spaces, entities, mojibake, accents, scripts,
# emoji, nothing at all, and more than any context holds.
_PROBES = (
    "a dog on a beach",
    "Two men's bikes, 12 of them; they'll ride at 7:30!",
    "  tabs\tand\nlines  ",
    "Café &amp; naïve â€” déjà vu",
    "Ωmega straße İstanbul ﬁne ½ ²",
    "犬が海辺にいる 강아지 собака كلب",
    "🐕 on the 🏖️ 👩‍👩‍👧",
    "snake_case under_score <end_of_text> 'S",
    "",
    "word " * 300,
)


def write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write an open_clip tokenizer's files, and make sure that they give the same ids.

    Raises ExportError where it is of a kind that is not known, or the ids differ.
    """
    kind = type(tokenizer).__name__
    if kind == "SimpleTokenizer":
        _write_clip(tokenizer, folder)
    elif kind in ("HFTokenizer", "SigLipTokenizer"):
        _write_hugging_face(tokenizer, folder)
    else:
        raise ExportError(f"its tokenizer, {kind}, has no form outside of torch")
    ours, theirs = load_tokenizer(folder)(_PROBES), _ids(tokenizer, _PROBES)
    if not np.array_equal(ours, theirs):
        raise ExportError(f"its tokenizer, {kind}, gives other ids outside of torch")


def _write_clip(tokenizer: Any, folder: Path) -> None:
    from open_clip.tokenizer import default_bpe

    if tokenizer.reduction_fn is not None:
        raise ExportError("its tokenizer leaves out words of long texts at random or by grammar")
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1 : 1 + len(tokenizer.bpe_ranks)]
    (folder / MERGES_FILE).write_text("\n".join(merges), "utf-8")
    # The marks stand at the end of the vocabulary, those of one's own last.
    special = [tokenizer.decoder[id_] for id_ in tokenizer.all_special_ids]
    _write_settings(
        folder,
        {
            "kind": "clip",
            "context_length": tokenizer.context_length,
            "clean": _clean_name(tokenizer),
            "additional_special": special[_SPECIAL_COUNT:],
        },
    )


def _write_hugging_face(tokenizer: Any, folder: Path) -> None:
    inner = tokenizer.tokenizer
    if getattr(tokenizer, "tokenizer_mode", ""):
        raise ExportError(f"its tokenizer works in a mode, {tokenizer.tokenizer_mode}, of its own")
    if not getattr(inner, "is_fast", False):
        raise ExportError("its tokenizer has no json of its own")
    strips = getattr(tokenizer, "strip_sep_token", False)
    inner.backend_tokenizer.save(str(folder / HF_FILE))
    _write_settings(
        folder,
        {
            "kind": "hugging-face",
            "context_length": tokenizer.context_length,
            "clean": _clean_name(tokenizer),
            "pad_id": inner.pad_token_id,
            "pad_token": inner.pad_token,
            "pad_direction": inner.padding_side,
            "cut_direction": inner.truncation_side,
            "blanked_id": inner.sep_token_id if strips else None,
        },
    )


def _clean_name(tokenizer: Any) -> str:
    # SigLipTokenizer always canonicalises and has no function of its own for it.
    function = getattr(tokenizer, "clean_fn", None)
    names = {"_clean_lower": "lower", "_clean_whitespace": "whitespace"}
    name = "_clean_canonicalize" if function is None else getattr(function, "__name__", "")
    if name == "_clean_canonicalize":
        return "canonicalize"
    if name not in names:
        raise ExportError("its tokenizer cleans texts in a way that is not known")
    return names[name]


def _write_settings(folder: Path, settings: dict[str, Any]) -> None:
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2), "utf-8")


def _ids(tokenizer: Any, texts: Sequence[str]) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = tokenizer(list(texts)).numpy()
    return ids
