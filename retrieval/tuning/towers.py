"""Whole towers in PyTorch as something to train: open_clip's, and a ViT with a BERT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.encoders.base import Encoder, Pixels
from retrieval.encoders.open_clip import LoadedOpenClip, OpenClipEncoder
from retrieval.encoders.registry import DEFAULT_MODEL
from retrieval.encoders.vit_bert import PREFIX as VIT_BERT_PREFIX
from retrieval.encoders.vit_bert import LoadedVitBert, VitBertEncoder
from retrieval.errors import ImageError
from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.evaluation.metrics import Integers
from retrieval.images.decode import decode
from retrieval.images.files import read_file
from retrieval.tuning.data import EncoderTrainingError, TuningSettings
from retrieval.tuning.lora import add_low_rank_updates, merge_low_rank_updates

_DECODERS = 4
_OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"
_OPEN_CLIP_CONFIG = "open_clip_config.json"


class Towers(Protocol):
    """Two towers whose weights can be trained.

    `drawn`: layers that may have been drawn at random rather than pretrained, for which low-rank
    updates would do little.
    """

    network: nn.Module
    drawn: Sequence[nn.Module]

    def image_vectors(self, pixels: Pixels) -> Tensor:
        """Unit vectors (n, dim) of pixels, uint8 (n, size_px, size_px, 3)."""
        ...

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, dim) of n texts."""
        ...

    def save(self, folder: Path) -> None:
        """Write a model that the towers' own encoder reads. Raises OSError."""
        ...


class OpenClipTowers:
    """The towers of an open_clip model."""

    def __init__(self, loaded: LoadedOpenClip) -> None:
        self._loaded = loaded
        self.network: nn.Module = loaded.model
        self.drawn: Sequence[nn.Module] = ()

    def image_vectors(self, pixels: Pixels) -> Tensor:
        """Unit vectors (n, dim) of pixels, uint8 (n, size_px, size_px, 3)."""
        loaded = self._loaded
        inputs = torch.from_numpy(pixels).to(loaded.device).permute(0, 3, 1, 2).float() / 255.0
        vectors: Tensor = loaded.model.encode_image(
            (inputs - loaded.mean) / loaded.deviation, normalize=True
        )
        return vectors

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, dim) of n texts."""
        tokens = self._loaded.tokenizer(list(texts)).to(self._loaded.device)
        vectors: Tensor = self._loaded.model.encode_text(tokens, normalize=True)
        return vectors

    def save(self, folder: Path) -> None:
        """Write a folder as open_clip's own: configuration, weights, tokenizer where it has one."""
        from safetensors.torch import save_file

        tensors = {key: value.contiguous() for key, value in self.network.state_dict().items()}
        save_file(tensors, folder / _OPEN_CLIP_WEIGHTS)
        record = {
            "model_cfg": self._loaded.model_config,
            "preprocess_cfg": self._loaded.preprocess_config,
        }
        (folder / _OPEN_CLIP_CONFIG).write_text(json.dumps(record, indent=2), "utf-8")
        inner = getattr(self._loaded.tokenizer, "tokenizer", None)
        if inner is not None and hasattr(inner, "save_pretrained"):
            inner.save_pretrained(folder)


class VitBertTowers:
    """A ViT and a BERT with their projections."""

    def __init__(self, loaded: LoadedVitBert) -> None:
        self._loaded = loaded
        self.network: nn.Module = loaded.model
        self.drawn: Sequence[nn.Module] = (
            loaded.model.visual_projection,
            loaded.model.text_projection,
        )

    def image_vectors(self, pixels: Pixels) -> Tensor:
        """Unit vectors (n, dim) of pixels, uint8 (n, size_px, size_px, 3)."""
        return self._loaded.image_states(pixels)[0]

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, dim) of n texts."""
        return self._loaded.text_states(self._loaded.tokenise(texts))[0]

    def save(self, folder: Path) -> None:
        """Write a folder as `vit-bert:FOLDER` reads it."""
        self._loaded.save(folder)


class TowersTraining:
    """Towers over the pictures and captions of an encoded set, for `retrieval.tuning.train`.

    Pictures are decoded anew each time, so that memory does not grow with their number.
    """

    def __init__(
        self, encoder: Encoder, encoded: EncodedSet, images: Path, settings: TuningSettings
    ) -> None:
        self._towers = towers_of(encoder)
        self._encoded = encoded
        self._images = images
        self._preprocessing = encoder.preprocessing
        self.network = self._towers.network
        if settings.what == "lora":
            torch.manual_seed(settings.seed)
            add_low_rank_updates(self.network, settings.rank, whole=self._towers.drawn)
        else:
            self.network.requires_grad_(True)

    def image_vectors(self, images: Integers) -> Tensor:
        """Unit vectors (n, dim) of pictures by their positions.

        Raises EncoderTrainingError where one cannot be read any more.
        """
        with ThreadPoolExecutor(_DECODERS) as pool:
            names = [self._encoded.names[image] for image in images]
            return self._towers.image_vectors(np.stack(list(pool.map(self._pixels, names))))

    def text_vectors(self, captions: Integers) -> Tensor:
        """Unit vectors (n, dim) of captions by their positions."""
        return self._towers.text_vectors([self._encoded.captions[i] for i in captions])

    def save(self, folder: Path) -> None:
        """Write the model, low-rank updates merged. Raises OSError."""
        merge_low_rank_updates(self.network)
        self._towers.save(folder)

    def _pixels(self, name: str) -> Pixels:
        try:
            return decode(read_file(self._images / name), self._preprocessing).pixels
        except (OSError, ImageError) as error:
            raise EncoderTrainingError(f"The picture {name} cannot be read any more.") from error


def trainable_encoder(name: str) -> Encoder:
    """An encoder, in torch, whose towers `towers_of` gives.

    Raises EncoderTrainingError for a model whose weights cannot be trained.
    """
    if name.startswith(VIT_BERT_PREFIX):
        return VitBertEncoder(name)
    if name == DEFAULT_MODEL or (Path(name) / "image.onnx").exists():
        raise EncoderTrainingError(
            f"The weights of {name} come in eight bits and cannot be trained.",
            code="heads-alone",
            model=name,
        )
    return OpenClipEncoder(name)


def towers_of(encoder: Encoder) -> Towers:
    """The towers of an encoder that `trainable_encoder` gave."""
    if isinstance(encoder, VitBertEncoder):
        return VitBertTowers(encoder.loaded)
    assert isinstance(encoder, OpenClipEncoder)
    return OpenClipTowers(encoder.loaded)


def saved_name(encoder: Encoder, folder: Path) -> str:
    """What loads the towers of an encoder once they are saved in a folder."""
    return f"{VIT_BERT_PREFIX}{folder}" if isinstance(encoder, VitBertEncoder) else str(folder)
