"""What all uses of a CoCa model share: that it is one, and what its decoder attends to.

Yu et al., *CoCa: Contrastive Captioners are Image-Text Foundation Models* (2022), by open_clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UnknownModelError

if TYPE_CHECKING:
    import torch

    from retrieval.encoders.open_clip import LoadedOpenClip


def load_coca(name: str, use: str) -> LoadedOpenClip:
    """The model of this name of open_clip; `use` is what it is for, as "rerank".

    Raises UnknownModelError where it cannot be had or is no CoCa.
    """
    from retrieval.encoders.open_clip import LoadedOpenClip

    loaded = LoadedOpenClip(name)
    if not hasattr(loaded.model, "text_decoder"):
        raise UnknownModelError(
            f"{name} is no CoCa model, so it cannot {use}: give one whose name begins with coca_."
        )
    return loaded


def seen_by_decoder(loaded: LoadedOpenClip, pixels: NDArray[np.uint8]) -> torch.Tensor:
    """What the decoder attends to, (n, queries, width), of pixels (n, size_px, size_px, 3)."""
    import torch

    with torch.inference_mode():
        inputs = torch.from_numpy(pixels).to(loaded.device).permute(0, 3, 1, 2).float()
        inputs = (inputs / 255.0 - loaded.mean) / loaded.deviation
        seen: torch.Tensor = loaded.model(inputs)["image_embs"]
        return seen
