"""The compact captioner: a small decoder that looks at a picture's kept patch tokens.

ONNX Runtime alone runs it. It opens no picture: what it needs was kept when the index was made.
`training/` makes its files, which lie beside the built-in model's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.captioning.base import Caption, PictureToCaption
from retrieval.captioning.beam import BeamSettings, Floats, Hypothesis, Integers, beam_search
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.errors import UnknownModelError

NAME = "compact"
SETTINGS_FILE = "captioner.json"
MEMORY_FILE = "captioner_memory.onnx"
STEP_FILE = "captioner_step.onnx"
_CONTINUES = "##"
# Bounds the memory of one run.
_PICTURES_A_RUN = 32


@dataclass(frozen=True)
class CaptionerSettings:
    """What stands beside the graphs.

    `pieces`: the vocabulary, by id. `nearness`: what the cosine of caption and picture counts
    beside the decoder's own score, when the best of the sentences found is chosen. `encoder`: the
    fingerprint of the encoder whose tokens it was trained on.
    """

    encoder: str
    pieces: tuple[str, ...]
    beam: BeamSettings
    nearness: float

    @classmethod
    def read(cls, model_dir: Path) -> Self:
        """Those of a model's folder. Raises UnknownModelError where there are none."""
        try:
            found: dict[str, Any] = json.loads((model_dir / SETTINGS_FILE).read_text("utf-8"))
            beam = dict(found["beam"])
            beam["forbidden"] = tuple(beam["forbidden"])
            return cls(
                str(found["encoder"]),
                tuple(found["pieces"]),
                BeamSettings(**beam),
                float(found["nearness"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnknownModelError(
                f"{model_dir} holds no captioner.", code="no-captioner", folder=model_dir
            ) from error


class CompactCaptioner:
    """A captioner over the vectors and tokens of a compact encoder.

    It follows several beginnings of a sentence at once (`beam`), and takes the one of its best
    sentences whose vector, by the encoder's text tower, lies nearest to the picture's as well.
    Raises UnknownModelError where the model carries no captioner, or one for another encoder.
    """

    def __init__(self, encoder: CompactEncoder, settings: CaptionerSettings | None = None) -> None:
        self._settings = settings or CaptionerSettings.read(encoder.model_dir)
        if self._settings.encoder not in (encoder.space.fingerprint, *encoder.space.former):
            raise UnknownModelError(
                f"The captioner beside {encoder.space.name} was trained for another model.",
                code="no-captioner",
                folder=encoder.model_dir,
            )
        self._encoder = encoder
        self._memory = OnnxSession(encoder.model_dir / MEMORY_FILE)
        self._step = OnnxSession(encoder.model_dir / STEP_FILE)
        self._shape: tuple[tuple[int, ...], int] | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """`compact`."""
        return NAME

    @property
    def settings(self) -> CaptionerSettings:
        """How it looks for sentences."""
        return self._settings

    @property
    def needs_tokens(self) -> bool:
        """It does: vectors and patch tokens are all it sees of a picture."""
        return True

    @property
    def needs_images(self) -> bool:
        """It opens no file."""
        return False

    def caption(self, pictures: Sequence[PictureToCaption]) -> list[Caption | None]:
        """A caption of each picture; None for those without a vector or tokens of its kind."""
        token_shape, dim = self._expected
        found: list[Caption | None] = [None] * len(pictures)
        usable = [
            place
            for place, own in enumerate(pictures)
            if own.vector is not None
            and own.vector.shape == (dim,)
            and own.patch_tokens is not None
            and own.patch_tokens.shape == token_shape
        ]
        for start in range(0, len(usable), _PICTURES_A_RUN):
            some = usable[start : start + _PICTURES_A_RUN]
            vectors = np.array([pictures[place].vector for place in some], np.float32)
            tokens = np.array([pictures[place].patch_tokens for place in some], np.int8)
            sentences = self.hypotheses(vectors, tokens)
            for place, vector, own in zip(some, vectors, sentences, strict=True):
                best = self._nearest(vector, own)
                if best is not None:
                    found[place] = Caption(self.text(best.pieces), best.mean_log_probability)
        return found

    def hypotheses(
        self, vectors: NDArray[np.float32], tokens: NDArray[np.int8]
    ) -> list[list[Hypothesis]]:
        """The sentences that beam search finds for n pictures, the best first.

        `vectors` (n, dim), `tokens` (n, patches, token_dim).
        """
        following = _Following(self._memory, self._step, vectors, tokens)
        return beam_search(following, len(vectors), self._settings.beam)

    def text(self, pieces: Sequence[int]) -> str:
        """Word pieces as a sentence."""
        words: list[str] = []
        for piece in (self._settings.pieces[index] for index in pieces):
            if piece.startswith(_CONTINUES) and words:
                words[-1] += piece.removeprefix(_CONTINUES)
            else:
                words.append(piece.removeprefix(_CONTINUES))
        return _joined_marks(words)

    def _nearest(self, vector: Floats, sentences: Sequence[Hypothesis]) -> Hypothesis | None:
        if not sentences:
            return None
        if not self._settings.nearness or len(sentences) == 1:
            return sentences[0]
        texts = self._encoder.encode_texts([self.text(one.pieces) for one in sentences]).vectors
        own = np.array([one.score for one in sentences])
        return sentences[int(np.argmax(own + self._settings.nearness * (texts @ vector)))]

    @property
    def _expected(self) -> tuple[tuple[int, ...], int]:
        """The shape of a picture's tokens and the size of its vector."""
        with self._lock:
            if self._shape is None:
                tokens = self._memory.input_shape("tokens")[1:]
                dim = self._memory.input_shape("vectors")[1]
                self._shape = tuple(int(str(size)) for size in tokens), int(str(dim))
            return self._shape


class _Following:
    """The decoder in the middle of captions: what it sees, and what it said."""

    def __init__(
        self,
        memory: OnnxSession,
        step: OnnxSession,
        vectors: NDArray[np.float32],
        tokens: NDArray[np.int8],
    ) -> None:
        names = ["start", "keys", "values"]
        self._seen = dict(
            zip(names, memory.run(names, {"vectors": vectors, "tokens": tokens}), strict=True)
        )
        self._step = step
        layers, pictures, heads, _rows, width = self._seen["keys"].shape
        empty = np.zeros((layers, pictures, heads, 0, width), np.float32)
        self._said = (empty, empty)
        self._pictures = pictures
        self._length = 0

    def __call__(self, pieces: Integers | None, parents: Integers | None) -> Floats:
        """See `NextPiece`."""
        if pieces is None or parents is None:
            pieces = np.full((self._pictures, 1), -1, np.int64)
        else:
            self._follow(parents)
        keys, values = self._said
        likely, *said = self._step.run(
            ["likely", "all_keys", "all_values"],
            {
                "pieces": pieces,
                "place": np.array([self._length], np.int64),
                **self._seen,
                "said_keys": keys,
                "said_values": values,
            },
        )
        self._said = (said[0], said[1])
        self._length += 1
        return likely

    def _follow(self, parents: Integers) -> None:
        """Let each beam have the past of the one that it goes on with."""
        before = self._said[0].shape[1] // self._pictures
        rows = (np.arange(self._pictures)[:, None] * before + parents).ravel()
        self._said = (self._said[0][:, rows], self._said[1][:, rows])


def _joined_marks(words: Sequence[str]) -> str:
    """Words with spaces between them, but not around what belongs to a word."""
    text = " ".join(words)
    for mark in ("'", "-"):
        text = text.replace(f" {mark} ", mark)
    for mark in (",", ".", "!", "?", ";", ":"):
        text = text.replace(f" {mark}", mark)
    return text
