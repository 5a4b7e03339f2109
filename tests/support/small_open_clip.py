"""Small open_clip models with random weights, saved as open_clip saves its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

# Wide enough that an angle between vectors means something, and small enough to be quick.
VISION: dict[str, Any] = {
    "image_size": 64,
    "layers": 2,
    "width": 128,
    "patch_size": 16,
    "head_width": 32,
}
TEXT: dict[str, Any] = {
    "context_length": 77,
    "vocab_size": 49408,
    "width": 128,
    "heads": 4,
    "layers": 2,
}
VIT: dict[str, Any] = {"embed_dim": 128, "vision_cfg": VISION, "text_cfg": TEXT}
RESNET: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
    "text_cfg": TEXT,
}
COCA: dict[str, Any] = {
    "embed_dim": 128,
    "custom_text": True,
    "vision_cfg": VISION
    | {"attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True},
    "text_cfg": TEXT | {"context_length": 76, "embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {
        "context_length": 76,
        "vocab_size": 49408,
        "width": 128,
        "heads": 4,
        "layers": 1,
        "attn_pooler_heads": 4,
    },
}


def save_model(
    folder: Path,
    config: dict[str, Any],
    name: str,
    *,
    seed: int = 0,
    preprocess: dict[str, Any] | None = None,
) -> Path:
    """A folder as `OpenClipEncoder` takes it. `name` is new, and CoCa's begins with coca."""
    folder.mkdir(parents=True)
    configs = folder / "configs"
    configs.mkdir()
    (configs / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(configs)
    torch.manual_seed(seed)
    # What Hugging Face would be asked for has random weights as well.
    model = open_clip.create_model(name, pretrained_hf=False)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name == "text_decoder.text_projection":
            # open_clip leaves it as the memory was, which may be no number.
            torch.nn.init.normal_(parameter, std=parameter.shape[0] ** -0.5)
    save_file(
        {key: tensor.contiguous() for key, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    wanted = open_clip.get_model_preprocess_cfg(model) | (preprocess or {})
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": wanted})
    )
    return folder
