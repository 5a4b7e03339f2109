"""Which reranker an evaluation looks again with, from the word given for `--rerank`.

Runs exported compact rerankers with the patch tokens of an encoded set kept in memory.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder, TextEncoding
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx_session import OnnxSession
from retrieval.errors import UnknownModelError
from retrieval.evaluation.encoding import EncodedSet
from retrieval.evaluation.protocol import SecondStageFactory
from retrieval.metrics import Floats, Integers

RERANKER_FILE = "reranker.onnx"
SETTINGS_FILE = "reranker.json"


class OnnxSecondStage:
    """An exported compact reranker over an encoded set; fused score: cosine + weight · score."""

    def __init__(
        self, model: Path, name: str, weight: float, patch_tokens: NDArray[np.int8]
    ) -> None:
        self._session = OnnxSession(model)
        self._name = name
        self._weight = weight
        self._patch_tokens = patch_tokens

    @property
    def name(self) -> str:
        """The reranker's name."""
        return self._name

    def rescore(
        self, text: str, encoding: TextEncoding, similarities: Floats, pictures: Integers
    ) -> Floats:
        """Fused scores (n,) of n pictures of the set; those without a word stay as they are."""
        if encoding.word_tokens is None or encoding.word_mask is None:
            return similarities
        if not encoding.word_mask.any():
            return similarities
        (scores,) = self._session.run(
            ["scores"],
            {
                "words": encoding.word_tokens,
                "mask": encoding.word_mask,
                "patches": self._patch_tokens[pictures],
            },
        )
        fused: Floats = similarities + self._weight * scores.astype(np.float64)
        return fused


def choose_second_stage(rerank: str, encoder: Encoder) -> SecondStageFactory | None:
    """The second stage for `auto`, `off` or the folder of a trained reranker.

    `auto` takes the reranker that stands beside the compact model's files, where there is one.
    Raises UnknownModelError where the folder holds none, or one for another encoder.
    """
    if rerank == "off":
        return None
    if rerank == "auto":
        folder = encoder.model_dir if isinstance(encoder, CompactEncoder) else None
        if folder is None or not (folder / RERANKER_FILE).exists():
            return None
        settings = json.loads((folder / "config.json").read_text()).get("reranker", {})
        if "weight" not in settings:
            return None
        name = str(settings.get("name", f"{encoder.identity.name} reranker"))
        return partial(_over, folder / RERANKER_FILE, name, float(settings["weight"]))
    folder = Path(rerank)
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text())
        weight, fingerprint = float(settings["weight"]), str(settings["encoder"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownModelError(
            f"There is no reranker {rerank}: give auto, off, or a folder that "
            "`mmsearch train-reranker` wrote."
        ) from error
    if fingerprint != encoder.identity.fingerprint:
        raise UnknownModelError(
            f"The reranker in {rerank} was trained for another model than "
            f"{encoder.identity.name}: train it again with `mmsearch train-reranker`."
        )
    return partial(_over, folder / RERANKER_FILE, rerank, weight)


def _over(model: Path, name: str, weight: float, encoded: EncodedSet) -> OnnxSecondStage:
    if encoded.patch_tokens is None:
        raise UnknownModelError(f"{name} needs patch tokens, which this model does not give.")
    return OnnxSecondStage(model, name, weight, encoded.patch_tokens)
