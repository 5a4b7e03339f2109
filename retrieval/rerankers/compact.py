"""The compact reranker: words look at a picture's cached patch tokens by cross-attention.

ONNX Runtime alone runs it. It opens no picture: what it needs was kept when the index was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import PatchTokenEncoder
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.errors import UnknownModelError
from retrieval.fusion.scores import AddedScore
from retrieval.rerankers.base import Candidate, RerankQuery, Scores

RERANKER_FILE = "reranker.onnx"
SETTINGS_FILE = "reranker.json"
NAME = "compact"

# Bounds the memory of one run; a whole list of candidates fits in one.
_PAIRS_A_RUN = 128


class AttentionScores(NamedTuple):
    """What the reranker made of n candidates.

    `scores`: float32 (n,). `attention`: float32 (n, length, patches), how much each token of the
    question looks at each patch; what is left to a sum of one over the patches looks at nothing, as
    a word does that is not in the picture. NaN where a candidate has no tokens.
    """

    scores: Scores
    attention: NDArray[np.float32]


class CompactReranker:
    """An exported reranker over the tokens of a compact encoder, or of another that gives some.

    `grid`: rows and columns of the encoder's patches. `weight` is what its training found best to
    add its score to a cosine with. `least_presence`: the share of its attention that a word has to
    give to a picture to be found there; 0 where the reranker was not trained to tell.
    """

    def __init__(
        self,
        model: Path,
        grid: tuple[int, int],
        name: str,
        weight: float,
        least_presence: float = 0.0,
    ) -> None:
        self._session = OnnxSession(model)
        self._grid = grid
        self._name = name
        self._fusion = AddedScore(weight)
        self._least_presence = least_presence

    @classmethod
    def built_in(cls, encoder: CompactEncoder) -> Self:
        """The one that stands beside the model's own files. Raises UnknownModelError."""
        model = encoder.model_dir / RERANKER_FILE
        try:
            settings = json.loads((encoder.model_dir / "config.json").read_text())["reranker"]
            weight = float(settings["weight"])
            least_presence = float(settings.get("least_presence", 0.0))
        except (OSError, ValueError, KeyError, TypeError):
            weight, least_presence = None, 0.0
        if weight is None or not model.is_file():
            raise UnknownModelError(
                f"The model {encoder.space.name} carries no reranker.",
                code="no-reranker",
                model=encoder.space.name,
            )
        return cls(model, encoder.token_grid, NAME, weight, least_presence)

    @classmethod
    def trained(cls, folder: Path, encoder: PatchTokenEncoder) -> Self:
        """The one that was trained for an index and lies in `folder`.

        Raises UnknownModelError where there is none, or it belongs to another encoder.
        """
        settings = _settings(folder)
        if settings["encoder"] not in (encoder.space.fingerprint, *encoder.space.former):
            raise UnknownModelError(
                f"The reranker in {folder} was trained for another model than "
                f"{encoder.space.name}: train it again.",
                code="reranker-mismatch",
                folder=folder,
            )
        model = folder / RERANKER_FILE
        return cls(model, encoder.token_grid, str(folder), float(settings["weight"]))

    @property
    def name(self) -> str:
        """`compact`, or the folder of a trained one."""
        return self._name

    @property
    def is_built_in(self) -> bool:
        """Whether it came with the model."""
        return self._name == NAME

    @property
    def needs_tokens(self) -> bool:
        """It does: patch tokens are all it sees of a picture."""
        return True

    @property
    def needs_images(self) -> bool:
        """It opens no file."""
        return False

    @property
    def fusion(self) -> AddedScore:
        """Cosine + weight · score, as in its training."""
        return self._fusion

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches that its attention is over."""
        return self._grid

    @property
    def least_presence(self) -> float:
        """The share of its attention that a word gives to a picture that it is found in."""
        return self._least_presence

    def preload(self) -> None:
        """Begin to load the graph; see `OnnxSession.preload`."""
        self._session.preload()

    def rerank(self, query: RerankQuery, candidates: Sequence[Candidate]) -> Scores:
        """Scores, float32 (n,); NaN for candidates without tokens and questions without words."""
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        for places, found in self._runs(query, candidates, ["scores"]):
            scores[places] = found[0]
        return scores

    def attend(self, query: RerankQuery, candidates: Sequence[Candidate]) -> AttentionScores:
        """The scores of n candidates with the attention that led to them.

        The second axis of the maps runs over all tokens of the question's encoding, marks
        included; `word_mask` says which of them count.
        """
        length = 0 if query.encoding.word_mask is None else query.encoding.word_mask.shape[1]
        rows, columns = self.grid
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        attention = np.full((len(candidates), length, rows * columns), np.nan, dtype=np.float32)
        for places, found in self._runs(query, candidates, ["scores", "attention"]):
            scores[places], attention[places] = found
        return AttentionScores(scores, attention)

    def _runs(
        self, query: RerankQuery, candidates: Sequence[Candidate], outputs: list[str]
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Places of candidates in the list, and the graph's outputs for them, run by run."""
        encoding = query.encoding
        if encoding.word_tokens is None or encoding.word_mask is None:
            return
        if not encoding.word_mask.any():
            return
        whole = self._session.input_shape("patches")[1:]
        # Tokens of another shape are a cache's damage: as good as missing.
        places = [
            place
            for place, candidate in enumerate(candidates)
            if candidate.patch_tokens is not None and candidate.patch_tokens.shape == whole
        ]
        for start in range(0, len(places), _PAIRS_A_RUN):
            some = places[start : start + _PAIRS_A_RUN]
            patches = [candidates[i].patch_tokens for i in some]
            inputs = {
                "words": encoding.word_tokens,
                "mask": encoding.word_mask,
                "patches": np.stack([own for own in patches if own is not None]),
            }
            yield some, self._session.run(outputs, inputs)


def is_trained_reranker(folder: Path) -> bool:
    """Whether a reranker trained for an index lies there."""
    return (folder / RERANKER_FILE).is_file() and (folder / SETTINGS_FILE).is_file()


def _settings(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text())
        if not (folder / RERANKER_FILE).is_file():
            raise FileNotFoundError(folder / RERANKER_FILE)
        return {"encoder": str(found["encoder"]), "weight": float(found["weight"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownModelError(
            f"{folder} holds no trained reranker.", code="no-reranker", folder=folder
        ) from error
