"""Small BLIP models with random weights, saved as transformers saves its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertTokenizer, BlipConfig

# Of all published BLIP models.
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def save_blip(
    folder: Path, model_class: Any, words: Sequence[str], *, layers: int = 2, **text: Any
) -> Path:
    """A model of a class of transformers with this vocabulary; `text` configures its text side."""
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={
            **sizes, "vocab_size": len(words), "encoder_hidden_size": 32, "intermediate_size": 64,
            "pad_token_id": 0, **text,
        },
        vision_config={**sizes, "intermediate_size": 64, "image_size": 48, "patch_size": 16},
        image_text_hidden_size=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = model_class(config)
    loud(model)
    model.save_pretrained(folder)
    return folder


def loud(model: torch.nn.Module) -> None:
    """Weights as they are drawn make all outputs alike; larger ones tell pictures apart."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
