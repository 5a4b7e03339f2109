"""A plain ViT and a plain BERT, each projected into a shared space, as an encoder.

The towers are pretrained apart, on pictures alone and on texts alone; what makes them one model is
training on captions, in the manner of Zhai et al., *LiT: Zero-Shot Transfer with Locked-image text
Tuning* (CVPR 2022), and of CLIP. By transformers, which loads when it is first needed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.arguments import check_pixels, check_texts
from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.requirements import require_packages
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import UnknownModelError, first_line
from retrieval.images.preprocess import Interpolation, Preprocessing

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

PREFIX = "vit-bert:"
PREPROCESSING_FILE = "preprocessor_config.json"

# A ViT-B/16 has 14 × 14 patches of 768 numbers; averaged to at most so many a side they take 37 KB
# of an index for each picture.
_LARGEST_GRID = 7
# Patch tokens have a root mean square of one before they become bytes; few numbers are larger.
_LARGEST_TOKEN = 4.0
_TOKEN_SCALE = _LARGEST_TOKEN / 127
# PIL's numbers, as transformers writes them.
_RESAMPLING: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}
_HALVES = [0.5, 0.5, 0.5]


class VitBertEncoder:
    """A ViT and a BERT with projections, by a name that begins with `vit-bert:`.

    What follows the colon is

    - a folder or a repository of transformers' `VisionTextDualEncoderModel`, as
      `retrieval.tuning` writes it;
    - `VIT+BERT`, two repositories or folders of the towers, as
      `google/vit-base-patch16-224+bert-base-uncased`. Their projections are drawn at random, always
      the same: a start for training, and no use before.

    Raises UnknownModelError, where transformers is not installed at once, and on first use where
    the model cannot be had.
    """

    def __init__(self, name: str) -> None:
        require_packages(f"The model {name}", "vit-bert", "transformers", "torch")
        self._name = name
        self._lock = threading.Lock()

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The space of its vectors, told by the ViT, its projection and the preprocessing."""
        loaded = self.loaded
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(loaded.preprocess_config, sort_keys=True).encode())
        for key, tensor in sorted(loaded.model.state_dict().items()):
            if key.startswith(("vision_model.", "visual_projection.")):
                digest.update(key.encode())
                digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
        return EmbeddingSpace(self._name, loaded.dim, digest.hexdigest())

    @property
    def preprocessing(self) -> Preprocessing:
        """How a decoded picture becomes the pixels that `encode_images` takes."""
        return self.loaded.preprocessing

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the patch tokens, those of the ViT averaged where they are many."""
        side = min(self.loaded.patches_a_side, _LARGEST_GRID)
        return side, side

    @property
    def whole_rows(self) -> int:
        """No row of patch tokens describes the picture as a whole."""
        return 0

    @property
    def token_scale(self) -> float:
        """What patch tokens, int8, are multiplied by to become floats."""
        return _TOKEN_SCALE

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """Encode pixels, uint8 (n, size_px, size_px, 3) RGB, to vectors and patch tokens."""
        check_pixels(pixels, self.preprocessing.size_px)
        import torch
        from torch.nn import functional as F

        loaded = self.loaded
        if not len(pixels):
            return ImageEncoding(np.zeros((0, loaded.dim), np.float32))
        with torch.inference_mode():
            vectors, states = loaded.image_states(pixels)
            side, grid = loaded.patches_a_side, self.token_grid
            patches = states.transpose(1, 2).reshape(len(states), -1, side, side)
            tokens = F.adaptive_avg_pool2d(patches, grid).flatten(2).transpose(1, 2)
            return ImageEncoding(_as_array(vectors), _as_bytes(tokens))

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        """Encode n texts; what exceeds BERT's context is cut off.

        `word_mask` is False for padding and for the marks at the start and the end.
        """
        check_texts(texts)
        import torch

        loaded = self.loaded
        if not texts:
            return TextEncoding(np.zeros((0, loaded.dim), np.float32))
        words = loaded.tokenise(texts)
        with torch.inference_mode():
            vectors, states = loaded.text_states(words)
        pieces = [loaded.tokenizer.convert_ids_to_tokens(row) for row in words["input_ids"]]
        special = torch.isin(
            words["input_ids"], torch.tensor(loaded.marks, device=words["input_ids"].device)
        )
        return TextEncoding(
            vectors=_as_array(vectors),
            word_tokens=_as_array(states),
            word_mask=((words["attention_mask"] > 0) & ~special).cpu().numpy(),
            words=tuple(tuple(row) for row in pieces),
        )

    @cached_property
    def loaded(self) -> LoadedVitBert:
        """The model itself; the first use loads it."""
        with self._lock:
            return LoadedVitBert(self._name.removeprefix(PREFIX))


class LoadedVitBert:
    """The two towers ready to run. Loading takes seconds."""

    def __init__(self, source: str) -> None:
        import torch

        try:
            with _quietly():
                self.model, tower = _load_model(source)
                self.tokenizer: Any = _load_tokenizer(source)
                found = _read_preprocessing(tower)
        except Exception as error:  # transformers and the hub raise many kinds.
            raise UnknownModelError(
                f"The weights of {PREFIX}{source} cannot be had ({first_line(error)}): check the "
                "network, or give a folder that holds them."
            ) from error
        if tower != source:
            logger.warning(
                "Nobody has trained the projections of %s: its answers are random until it is "
                "trained on captions.",
                PREFIX + source,
            )
        self.model.eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        sizes = self.model.config.vision_config
        size = int(sizes.image_size)
        self.patches_a_side = size // int(sizes.patch_size)
        self.dim = int(self.model.config.projection_dim)
        resampling = int(found.get("resample", 2))
        self.preprocess_config: dict[str, Any] = {
            "size": {"height": size, "width": size},
            "resample": resampling if resampling in _RESAMPLING else 2,
            "image_mean": found.get("image_mean", _HALVES),
            "image_std": found.get("image_std", _HALVES),
            "do_center_crop": bool(found.get("do_center_crop", False)),
        }
        self.preprocessing = Preprocessing(
            size,
            "crop" if self.preprocess_config["do_center_crop"] else "squash",
            _RESAMPLING[self.preprocess_config["resample"]],
        )
        self.marks: list[int] = list(self.tokenizer.all_special_ids)
        self._longest = int(self.model.config.text_config.max_position_embeddings)
        self._mean, self._deviation = (
            torch.tensor(self.preprocess_config[key], device=self.device).view(1, 3, 1, 1)
            for key in ("image_mean", "image_std")
        )

    def image_states(self, pixels: Pixels) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors (n, dim) and patch states (n, patches, width) of n pictures' pixels."""
        import torch
        from torch.nn import functional as F

        inputs = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self.device)
        inputs = (inputs.permute(0, 3, 1, 2).float() / 255.0 - self._mean) / self._deviation
        found = self.model.vision_model(pixel_values=inputs)
        vectors = self.model.visual_projection(found.pooler_output)
        # The first state is that of the class token.
        return F.normalize(vectors, dim=-1), found.last_hidden_state[:, 1:]

    def text_states(self, words: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors (n, dim) and states (n, L, width) of n texts' ids."""
        from torch.nn import functional as F

        found = self.model.text_model(
            input_ids=words["input_ids"], attention_mask=words["attention_mask"]
        )
        return F.normalize(self.model.text_projection(found.pooler_output), dim=-1), (
            found.last_hidden_state
        )

    def tokenise(self, texts: Sequence[str]) -> Any:
        """`input_ids` and `attention_mask`, int64 (n, L), padded to the longest."""
        return self.tokenizer(
            list(texts),
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=self._longest,
        ).to(self.device)

    def save(self, folder: Path) -> None:
        """Write the model as `vit-bert:FOLDER` reads it. Raises OSError."""
        with _quietly():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / PREPROCESSING_FILE).write_text(json.dumps(self.preprocess_config, indent=2))


# -- inside -----------------------------------------------------------------------------------


@contextmanager
def _quietly() -> Iterator[None]:
    """No bars and no advice of transformers, which knows neither pipes nor our commands."""
    from transformers.utils import logging as library

    verbosity, had_bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(verbosity)
        if had_bars:
            library.enable_progress_bar()


def _load_model(source: str) -> tuple[Any, str]:
    """The model, and what names its picture tower."""
    import torch
    from transformers import VisionTextDualEncoderModel

    image_tower, text_tower = _towers(source)
    if image_tower == text_tower:
        return VisionTextDualEncoderModel.from_pretrained(source), source
    # What is drawn has to be the same each time, as an index is bound to it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTextDualEncoderModel.from_vision_text_pretrained(image_tower, text_tower)
    return model, image_tower


def _load_tokenizer(source: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_towers(source)[1])


def _towers(source: str) -> tuple[str, str]:
    """What names the ViT and what names the BERT; one and the same where they are saved as one."""
    image_tower, joined, text_tower = source.partition("+")
    if not joined or Path(source).is_dir():
        return source, source
    return image_tower, text_tower


def _read_preprocessing(source: str) -> dict[str, Any]:
    """What a picture tower's files say of how its pictures are prepared; empty where nothing."""
    from transformers.utils import cached_file

    file = cached_file(source, PREPROCESSING_FILE, _raise_exceptions_for_missing_entries=False)
    found: dict[str, Any] = {} if file is None else json.loads(Path(file).read_text("utf-8"))
    return found


def _as_array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.float().cpu().numpy())


def _as_bytes(tokens: torch.Tensor) -> NDArray[np.int8]:
    """Tokens (n, patches, width), brought to a root mean square of one, in bytes."""
    lengths = tokens.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    even = tokens * math.sqrt(tokens.shape[-1]) / lengths
    return _as_array((even / _TOKEN_SCALE).round().clamp(-127, 127)).astype(np.int8)
