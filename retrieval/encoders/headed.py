"""An encoder with heads of one's own after its towers, as `retrieval.tuning` makes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from retrieval.encoders.base import Encoder, ImageEncoding, Pixels, Preloadable, TextEncoding
from retrieval.encoders.heads import Heads
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import UnknownModelError
from retrieval.images.preprocess import Preprocessing

SETTINGS_FILE = "heads.json"


@dataclass(frozen=True)
class HeadsSettings:
    """What heads belong to: the `base` model by name, and the `fingerprint` of its space."""

    base: str
    fingerprint: str


class HeadedEncoder:
    """Another encoder whose vectors go through heads; tokens and preprocessing are the other's.

    Without a head for pictures its space is the base's own, so that an index that the base has
    made is asked through it as it is. With one, the space is another. Raises UnknownModelError,
    when its space is asked for, where the base is not the one that the heads were learnt for.
    """

    def __init__(self, base: Encoder, heads: Heads, settings: HeadsSettings, name: str) -> None:
        self._base = base
        self._heads = heads
        self._settings = settings
        self._name = name

    @classmethod
    def load(cls, folder: Path, name: str, load_base: Callable[[str], Encoder]) -> HeadedEncoder:
        """The one whose files lie in `folder`; `load_base` gives an encoder for its base's name.

        Raises UnknownModelError where the files cannot be read or the base is not to be had.
        """
        try:
            found: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
            settings = HeadsSettings(str(found["base"]), str(found["fingerprint"]))
            heads = Heads.read(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnknownModelError(f"The heads in {folder} cannot be read.") from error
        return cls(load_base(settings.base), heads, settings, name)

    @property
    def base(self) -> Encoder:
        """The encoder that the heads follow."""
        return self._base

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The base's space where the pictures' vectors are the base's, else one of its own."""
        base = self._base.space
        if self._settings.fingerprint not in (base.fingerprint, *base.former):
            raise UnknownModelError(
                f"{self._name} was trained for another {self._settings.base} than the present one: "
                "train it again."
            )
        if self._heads.images is None:
            return replace(base, name=self._name)
        digest = hashlib.blake2b(base.fingerprint.encode(), digest_size=16)
        for array in (self._heads.images.weight, self._heads.images.bias):
            digest.update(array.tobytes())
        return EmbeddingSpace(self._name, base.dim, digest.hexdigest())

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        return self._base.preprocessing

    def preload(self) -> None:
        """Begin to load what a question in words needs."""
        if isinstance(self._base, Preloadable):
            self._base.preload()

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        encoding = self._base.encode_images(pixels)
        head = self._heads.images
        return encoding if head is None else replace(encoding, vectors=head.apply(encoding.vectors))

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; see the base."""
        return self.through_head(self._base.encode_texts(texts))

    def through_head(self, encoding: TextEncoding) -> TextEncoding:
        """What a text tower of the base's space has made, its vectors gone through the head."""
        head = self._heads.texts
        return encoding if head is None else replace(encoding, vectors=head.apply(encoding.vectors))


def write_heads(folder: Path, heads: Heads, settings: HeadsSettings) -> None:
    """Write what `HeadedEncoder.load` reads. Raises OSError."""
    heads.write(folder)
    (folder / SETTINGS_FILE).write_text(json.dumps(asdict(settings), indent=2), "utf-8")


def without_heads(encoder: Encoder) -> Encoder:
    """The encoder whose tokens an encoder's are: itself, or what its heads follow."""
    return encoder.base if isinstance(encoder, HeadedEncoder) else encoder
