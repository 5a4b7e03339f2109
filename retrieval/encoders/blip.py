"""What all BLIP models share, whatever they are asked for: weights, tokenizer, pixels.

Li et al., *BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation* (ICML 2022), by transformers, which loads with a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UnknownModelError, first_line
from retrieval.images.preprocess import Preprocessing

if TYPE_CHECKING:
    import torch

# The normalisation of all published BLIP models, which is CLIP's.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class LoadedBlip:
    """A BLIP model in torch, on a graphics card where there is one.

    Attributes:
        model: The model itself, an object of the class of transformers that was named.
        tokenizer: Its tokenizer.
        device: Where it computes.
        preprocessing: What it wants pictures to be brought to.
    """

    def __init__(self, source: str, class_name: str) -> None:
        """`source` is a Hugging Face repository or a folder of one.

        Raises UnknownModelError where the weights cannot be had.
        """
        import torch
        import transformers

        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
            self.model: Any = getattr(transformers, class_name).from_pretrained(source)
        except Exception as error:  # transformers and the hub raise many kinds.
            raise UnknownModelError(
                f"The weights of {source} cannot be had ({first_line(error)}): check the network, "
                "or give a folder that holds them, as blip:FOLDER."
            ) from error
        self.model.eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        config = self.model.config
        self._longest = int(config.text_config.max_position_embeddings)
        self._mean = torch.tensor(_MEAN, device=self.device).view(1, 3, 1, 1)
        self._deviation = torch.tensor(_DEVIATION, device=self.device).view(1, 3, 1, 1)
        size_px = int(config.vision_config.image_size)
        self.preprocessing = Preprocessing(size_px, "squash", "bicubic")

    def tokenize(self, texts: list[str]) -> Any:
        """`input_ids` and `attention_mask`, int64 (n, L), of n texts of one length."""
        return self.tokenizer(
            texts, return_tensors="pt", truncation=True, max_length=self._longest
        ).to(self.device)

    def normalise(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Pixels, uint8 (n, size_px, size_px, 3), as the model takes them, float32 (n, 3, ...)."""
        import torch

        inputs = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float()
        return (inputs / 255.0 - self._mean) / self._deviation
