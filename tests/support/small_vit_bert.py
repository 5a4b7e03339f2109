"""A small ViT and a small BERT with random weights, saved as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer, ViTConfig, ViTModel

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def _spread(model: torch.nn.Module) -> None:
    """Larger weights than they are drawn, with which pictures and texts are told apart."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.12)


def save_towers(folder: Path, texts: Iterable[str], *, size_px: int = 64, seed: int = 0) -> str:
    """Two folders of towers; returns the name that loads them. `texts` give the vocabulary."""
    words = sorted({word for text in texts for word in text.lower().split()})
    torch.manual_seed(seed)
    vit = ViTModel(ViTConfig(**SIZES, intermediate_size=128, image_size=size_px, patch_size=16))
    _spread(vit)
    vit.save_pretrained(folder / "vit")
    (folder / "vit" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "size": {"height": size_px, "width": size_px},
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
                "resample": 2,
            }
        )
    )
    bert = BertModel(
        BertConfig(
            **SIZES,
            intermediate_size=128,
            vocab_size=len(MARKS) + len(words),
            max_position_embeddings=40,
        )
    )
    _spread(bert)
    bert.save_pretrained(folder / "bert")
    (folder / "bert" / "vocab.txt").write_text("\n".join([*MARKS, *words]))
    BertTokenizer(str(folder / "bert" / "vocab.txt")).save_pretrained(folder / "bert")
    return f"vit-bert:{folder / 'vit'}+{folder / 'bert'}"
