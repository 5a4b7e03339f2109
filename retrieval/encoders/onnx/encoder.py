"""Any open_clip model at the speed of ONNX Runtime: its exported twin, made on first use.

Once a model has its twin, neither torch nor open_clip is imported for it. What cannot be exported
runs in torch, as `OpenClipEncoder` does it, and one line says why.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.arguments import check_pixels, check_texts
from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding, Vectors
from retrieval.encoders.onnx.model_store import (
    ExportedModels,
    KnownModel,
    StoredTower,
    Tower,
    TowerRecord,
)
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.encoders.open_clip import LoadedOpenClip, OpenClipEncoder
from retrieval.encoders.precision import WEIGHT_BITS, Arithmetic, Precision, wanted_arithmetic
from retrieval.encoders.space import EmbeddingSpace
from retrieval.encoders.tokenizers import TextTokenizer, load_tokenizer
from retrieval.errors import EncoderMismatchError, MmsearchError
from retrieval.images.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

# Fewer say too little of how well the twin agrees with torch: they are encoded by torch.
ENOUGH_IMAGES = 8
# What torch.export can take for any length; in a trace it could be less.
SHORTEST_IDS = 3
T = TypeVar("T", "ImageTower", "TextTower")
_IN_TORCH = "%s runs in torch, because %s."
_NO_EXPORTER = (
    "%s runs in torch: `pip install 'mmsearch[export]'` gets what it takes to export it, which "
    "makes it start and run faster."
)


class OnnxEncoder:
    """An open_clip model, by a name as `OpenClipEncoder` takes it.

    `precision`: "fp32", "int8", or "auto", int8 where this processor gains by it. Int8 is taken
    only where it agrees with torch, on the first pictures that are encoded, to a mean cosine of
    0.999. The space is the model's, whatever the precision: vectors of one and the other mix.

    Raises UnknownModelError, on first use, where the model cannot be had, EncoderMismatchError
    where weights that are downloaded by name are others than they were.
    """

    def __init__(
        self, name: str, precision: Precision = "auto", store: ExportedModels | None = None
    ) -> None:
        self._name = name
        self._precision: Precision = precision
        self._store = store or ExportedModels.of_user()
        self._lock = threading.RLock()
        self._by_torch = OpenClipEncoder(name)
        self._pictures: ImageTower | None = None
        self._texts: TextTower | None = None
        self._given_up: set[Tower] = set()

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors: that of the model in torch."""
        return self._model.space

    @cached_property
    def _model(self) -> KnownModel:
        with self._lock:
            known = self._store.known(self._name)
            if known is None:
                known = self._in_torch()
                self._remember(known)
            return known

    def _in_torch(self) -> KnownModel:
        return KnownModel(self._by_torch.space, self._by_torch.model_fingerprint)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        towers: tuple[Tower, ...] = ("pictures", "texts")
        found = [self._find(tower) or self._find_other(tower) for tower in towers]
        stored = found[0] or found[1]
        return self._by_torch.preprocessing if stored is None else stored.record.preprocessing

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        check_pixels(pixels, self.preprocessing.size_px)
        if not len(pixels):
            return ImageEncoding(self._no_vectors())
        twin = self._image_tower(pixels)
        return self._by_torch.encode_images(pixels) if twin is None else twin.encode(pixels)

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; what exceeds the model's context is cut off."""
        check_texts(texts)
        if not texts:
            return TextEncoding(self._no_vectors())
        twin = self._text_tower()
        return self._by_torch.encode_texts(texts) if twin is None else twin.encode(texts)

    @property
    def arithmetic(self) -> Mapping[Tower, str]:
        """What each tower that was used runs in: "fp32", "int8" or "torch"."""
        twins: dict[Tower, ImageTower | TextTower | None] = {
            "pictures": self._pictures,
            "texts": self._texts,
        }
        found: dict[Tower, str] = dict.fromkeys(self._given_up, "torch")
        for tower, twin in twins.items():
            if twin is not None:
                found[tower] = twin.stored.record.arithmetic
        return found

    # -- inside -------------------------------------------------------------------------------

    def _image_tower(self, pixels: Pixels) -> ImageTower | None:
        with self._lock:
            if self._pictures is not None or self._leaves_images_to_torch():
                return self._pictures
            self._pictures = self._open(ImageTower, self._find("pictures"))
            if self._pictures is None and len(pixels) >= ENOUGH_IMAGES:
                exported = self._export("pictures", pixels)
                # While the model is loaded, so that the first question need not load it.
                if self._find("texts") is None:
                    self._export("texts")
                self._pictures = self._open(ImageTower, exported)
                self._release()
            if self._pictures is None and "pictures" not in self._given_up:
                # Too few to make one: the one of the other precision is as good.
                return self._open(ImageTower, self._find_other("pictures"))
            return self._pictures

    def _text_tower(self) -> TextTower | None:
        with self._lock:
            if self._texts is None and "texts" not in self._given_up:
                self._texts = (
                    self._open(TextTower, self._find("texts"))
                    or self._open(TextTower, self._find_other("texts"))
                    or self._open(TextTower, self._export("texts"))
                )
            return self._texts

    def _no_vectors(self) -> Vectors:
        return np.zeros((0, self.space.dim), dtype=np.float32)

    def _leaves_images_to_torch(self) -> bool:
        if "pictures" in self._given_up:
            return True
        # A graphics card beats any precision of the processor; a question is not worth its start.
        return (
            self._precision == "auto"
            and has_graphics_card()
            and self._by_torch.loaded.device.type != "cpu"
        )

    def _find(self, tower: Tower) -> StoredTower | None:
        wanted = wanted_arithmetic(self._precision)
        return self._store.find(self._model.fingerprint, tower, wanted)

    def _find_other(self, tower: Tower) -> StoredTower | None:
        """Where any precision will do, the tower in the one that is not the first choice."""
        if self._precision != "auto":
            return None
        other: Arithmetic = "fp32" if wanted_arithmetic("auto") == "int8" else "int8"
        return self._store.find(self._model.fingerprint, tower, other)

    def _open(self, twin: Callable[[StoredTower], T], stored: StoredTower | None) -> T | None:
        if stored is None:
            return None
        try:
            return twin(stored)
        except Exception as error:  # ONNX Runtime raises many kinds.
            logger.warning(
                "What was exported of %s cannot be used any more (%s): it is made again.",
                self._name,
                type(error).__name__,
            )
            self._store.discard(stored)
            return None

    def _export(self, tower: Tower, pixels: Pixels | None = None) -> StoredTower | None:
        """The tower's twin, made now; None, with a line that says why, where that cannot be."""
        if tower in self._given_up:
            return None
        if find_spec("onnx") is None:
            self._give_up(tower, _NO_EXPORTER, self._name)
            return None
        fingerprint = self._model.fingerprint
        arithmetic = wanted_arithmetic(self._precision)
        reason = self._store.failure(fingerprint, tower, arithmetic)
        if reason is not None:
            self._give_up(tower, _IN_TORCH, self._name, reason)
            return None
        from retrieval.encoders.onnx.export.errors import ExportError

        try:
            with self._store.exporting(fingerprint):
                found = self._store.find(fingerprint, tower, arithmetic)
                if found is not None:
                    return found
                logger.warning("Preparing the %s side of %s, once ...", tower, self._name)
                write = self._writer(tower, arithmetic, pixels)
                return self._store.add(fingerprint, tower, arithmetic, write)
        except MmsearchError:
            raise
        except ExportError as error:
            with suppress(OSError):
                self._store.note_failure(fingerprint, tower, arithmetic, str(error))
            reason = str(error)
        except OSError as error:
            reason = f"its twin cannot be stored ({error.strerror or error})"
        except Exception as error:  # Whatever an exporter meets, there is torch to fall back on.
            reason = f"exporting it failed ({type(error).__name__})"
        self._give_up(tower, _IN_TORCH, self._name, reason)
        return None

    def _writer(
        self, tower: Tower, arithmetic: Arithmetic, pixels: Pixels | None
    ) -> Callable[[Path], TowerRecord]:
        from retrieval.encoders.onnx.export.export import export_images, export_texts

        loaded_now = self._in_torch()
        if loaded_now.fingerprint != self._model.fingerprint:
            self._remember(loaded_now)
            raise EncoderMismatchError(
                f"The weights that {self._name} stands for are others than when it was first used: "
                "run this again, and make a new index with them.",
                model=self._name,
            )
        loaded: LoadedOpenClip = self._by_torch.loaded
        if tower == "texts":
            return lambda folder: export_texts(loaded, arithmetic, folder)
        assert pixels is not None
        return lambda folder: export_images(loaded, pixels, arithmetic, folder)

    def _give_up(self, tower: Tower, line: str, *values: object) -> None:
        if not self._given_up:
            logger.warning(line, *values)
        self._given_up.add(tower)

    def _release(self) -> None:
        """Let go of the model in torch, which holds its weights a second time."""
        if not self._given_up:
            self._by_torch = OpenClipEncoder(self._name)

    def _remember(self, model: KnownModel) -> None:
        try:
            self._store.remember(model)
        except OSError as error:
            logger.debug("The name %s is not remembered: %s", model.space.name, error)


class ImageTower:
    """A stored picture tower, opened; raises nearly anything where it is damaged."""

    def __init__(self, stored: StoredTower) -> None:
        self.stored = stored
        self._session = OnnxSession(stored.graph, WEIGHT_BITS)
        self._session.load()

    def encode(self, pixels: Pixels) -> ImageEncoding:
        """Vectors of pixels, uint8 (n, size_px, size_px, 3)."""
        (vectors,) = self._session.run(["vectors"], {"pixels": np.ascontiguousarray(pixels)})
        return ImageEncoding(np.ascontiguousarray(vectors))


class TextTower:
    """A stored text tower and its tokenizer, opened; raises as `ImageTower` does."""

    def __init__(self, stored: StoredTower) -> None:
        self.stored = stored
        self._session = OnnxSession(stored.graph, WEIGHT_BITS)
        self._session.load()
        self._tokenizer: TextTokenizer = load_tokenizer(stored.folder)

    def encode(self, texts: Sequence[str]) -> TextEncoding:
        """Vectors of n texts."""
        ids = self._tokenizer(texts)
        # One by one: eight-bit products share one scale a batch, so that a text's vector would
        # depend on the others.
        return TextEncoding(np.concatenate([self._vector(row) for row in ids]))

    def _vector(self, ids: NDArray[np.int64]) -> Vectors:
        """The vector (1, dim) of one text's ids (length,)."""
        if self.stored.record.takes_short_ids:
            # What follows the text's end is padding that nothing looks at.
            length = int((ids != 0).nonzero()[0].max()) + 1
            ids = ids[: max(length, SHORTEST_IDS)]
        (vectors,) = self._session.run(["vectors"], {"ids": np.ascontiguousarray(ids[np.newaxis])})
        return vectors


def has_graphics_card() -> bool:
    """Whether there is a graphics card that torch can use, told without loading torch."""
    return shutil.which("nvidia-smi") is not None
