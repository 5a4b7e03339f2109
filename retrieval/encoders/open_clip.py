"""Any open_clip model as an encoder: pretrained names, local checkpoints, saved folders.

torch and open_clip load when the first picture or text is encoded, or the space is asked for.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.arguments import check_texts
from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.requirements import require_packages
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import UnknownModelError, first_line
from retrieval.images.preprocess import Preprocessing
from retrieval.paths import expanded, is_file, is_folder

if TYPE_CHECKING:
    import torch

# Where the weights of the picture tower stand in every model of open_clip.
_IMAGE_TOWER = "visual."
_RESIZES = {"shortest": "crop", "squash": "squash", "longest": "pad"}


class OpenClipEncoder:
    """An open_clip dual encoder.

    `name` is one of

    - `NAME/TAG`, as `ViT-B-32/laion2b_s34b_b79k`: open_clip's own weights, downloaded once;
    - `NAME/FILE`, as `ViT-B-32/runs/epoch_30.pt`: a checkpoint on disk;
    - a folder that open_clip saved (`open_clip_config.json` and weights);
    - `hf-hub:ORG/REPO`.

    Raises UnknownModelError, on first use, where the model cannot be had.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._failure: UnknownModelError | None = None

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors, told by the picture tower and the preprocessing."""
        image_tower, model = self._fingerprints
        return EmbeddingSpace(self._name, self.loaded.dim, image_tower, (model,))

    @property
    def model_fingerprint(self) -> str:
        """A hash of the weights of both towers and the preprocessing."""
        return self._fingerprints[1]

    @cached_property
    def _fingerprints(self) -> tuple[str, str]:
        """Of the picture tower, and of the whole model; with the preprocessing, both."""
        whole = hashlib.blake2b(digest_size=16)
        whole.update(json.dumps(self.loaded.preprocess_config, sort_keys=True).encode())
        pictures = whole.copy()
        for key, tensor in sorted(self.loaded.model.state_dict().items()):
            content = tensor.detach().cpu().contiguous().flatten().float().numpy().tobytes()
            for digest in (whole, pictures) if key.startswith(_IMAGE_TOWER) else (whole,):
                digest.update(key.encode())
                digest.update(content)
        return pictures.hexdigest(), whole.hexdigest()

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        return self.loaded.preprocessing

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB."""
        import torch

        loaded = self.loaded
        with torch.inference_mode():
            inputs = torch.from_numpy(np.ascontiguousarray(pixels)).to(loaded.device)
            inputs = inputs.permute(0, 3, 1, 2).float().div_(255.0)
            inputs = (inputs - loaded.mean) / loaded.deviation
            features = loaded.model.encode_image(inputs, normalize=True)
            return ImageEncoding(_as_vectors(features))

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; what exceeds the model's context is cut off."""
        check_texts(texts)
        import torch

        loaded = self.loaded
        with torch.inference_mode():
            tokens = loaded.tokenizer(list(texts)).to(loaded.device)
            return TextEncoding(_as_vectors(loaded.model.encode_text(tokens, normalize=True)))

    @cached_property
    def loaded(self) -> LoadedOpenClip:
        """The model itself; the first use loads it."""
        with self._lock:
            # A hub that cannot be reached is asked for minutes: once is enough for all threads.
            if self._failure is not None:
                raise self._failure
            try:
                return LoadedOpenClip(self._name)
            except UnknownModelError as failure:
                self._failure = failure
                raise


class LoadedOpenClip:
    """An open_clip model ready to run: weights, tokeniser, preprocessing. Loading takes seconds."""

    def __init__(self, name: str) -> None:
        require_packages(f"The model {name}", "clip", "torch", "open_clip")
        import open_clip
        import torch

        model_name, weights = _resolve(name)
        try:
            self.model: Any = open_clip.create_model(model_name, pretrained=weights)
            self.tokenizer: Any = open_clip.get_tokenizer(model_name)
        except Exception as error:  # open_clip and the hub raise many kinds.
            raise UnknownModelError(
                f"The weights of {name} cannot be had ({first_line(error)}): check the network, "
                "or give a checkpoint on disk as NAME/FILE."
            ) from error
        self.model_config: dict[str, Any] = open_clip.get_model_config(model_name)
        self.model.eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        self.preprocess_config: dict[str, Any] = open_clip.get_model_preprocess_cfg(self.model)
        self.preprocessing = _preprocessing(name, self.preprocess_config)
        self.mean = self._per_channel("mean")
        self.deviation = self._per_channel("std")
        with torch.inference_mode():
            probe = self.model.encode_text(self.tokenizer(["a picture"]).to(self.device))
        self.dim = int(probe.shape[-1])

    def _per_channel(self, key: str) -> torch.Tensor:
        import torch

        values = torch.tensor(self.preprocess_config[key], dtype=torch.float32)
        return values.view(1, 3, 1, 1).to(self.device)


def _resolve(name: str) -> tuple[str, str | None]:
    """open_clip's model name and weights for one of ours."""
    import open_clip

    if name.startswith(("hf-hub:", "local-dir:")):
        return name, None
    folder = expanded(name)
    if is_folder(folder):
        if not (folder / "open_clip_config.json").exists():
            raise UnknownModelError(
                f"The folder {name} holds no open_clip model: it has no open_clip_config.json."
            )
        return f"local-dir:{folder}", None
    architecture, _, weights = name.partition("/")
    if architecture not in open_clip.list_models():
        raise _unknown(architecture, open_clip.list_models())
    if not weights:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        example = f"{architecture}/{tags[0]}" if tags else f"{architecture}/FILE"
        raise UnknownModelError(f"{name} names no weights: write NAME/TAG, as {example}.")
    if is_file(expanded(weights)):
        return architecture, str(expanded(weights))
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights not in tags:
        raise _unknown(weights, tags, architecture)
    return architecture, weights


def _unknown(name: str, known: Sequence[str], architecture: str | None = None) -> UnknownModelError:
    close = get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "check how it is spelt."
    missing = (
        f"There is no model called {name}"
        if architecture is None
        else f"{architecture} has no weights called {name}, nor is there such a file"
    )
    return UnknownModelError(f"{missing}: {hint}", code="no-such-model")


def _preprocessing(name: str, config: dict[str, Any]) -> Preprocessing:
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    resize = _RESIZES.get(config["resize_mode"])
    if height != width or resize is None or config["interpolation"] not in ("bilinear", "bicubic"):
        raise UnknownModelError(
            f"The model {name} wants its pictures prepared in a way that mmsearch does not know "
            f"({config['resize_mode']}, {config['interpolation']}, {width} × {height}): "
            "use another model."
        )
    fill_value = int(config.get("fill_color") or 0) if resize == "pad" else 0
    return Preprocessing(height, resize, config["interpolation"], fill_value)  # type: ignore[arg-type]


def _as_vectors(features: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(features.float().cpu().numpy())
