"""From trained towers to the folder that ships: against hubs, in eight bits, with its weight."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from retrieval.encoders.compact import compact_fingerprint
from training.data import Picture, batches, squash
from training.evaluation import fit_reranker
from training.export import (
    ImageGraph,
    export_picture_tower,
    export_reranker,
    export_text_tower,
)
from training.hubness import EXTRA_DIMENSIONS, HubnessCorrection, condense, fit_hubness
from training.padding import by_length
from training.recipe import Recipe
from training.sources import Sources
from training.towers import TOKEN_STEP, Towers

VERSION = "4"
_BANK_TEXTS = 16_000


def finish(
    towers: Towers,
    recipe: Recipe,
    sources: Sources,
    tokenizer: Tokenizer,
    seed: int,
    out: Path,
    say: Callable[[str], None],
) -> None:
    """Write `out`: picture and text tower, tokenizer, reranker and `config.json`."""
    out.mkdir(parents=True, exist_ok=True)
    hubness = _hubness(towers, sources, tokenizer, recipe, seed)
    say(f"against hubs: {hubness.settings}")
    shown_px = towers.shape.first_use_px
    calibration = pixels_of(sources.learnt[: recipe.calibration_pictures], shown_px)
    export_picture_tower(ImageGraph(towers, hubness, TOKEN_STEP), calibration, out / "image.onnx")
    export_text_tower(towers.text, hubness, out / "text.onnx")
    export_reranker(towers.reranker, TOKEN_STEP, out / "reranker.onnx")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    _write_config(out, recipe, towers, weight=0.0, least_presence=0.0)
    say(f"exported to {out}")
    weight, least_presence = fit_reranker(out, sources.held)
    say(f"the reranker's weight on {len(sources.held)} pictures held out: {weight:.4f}")
    say(f"words are found from a presence of {least_presence:.3f}")
    _write_config(out, recipe, towers, weight, least_presence)


def pixels_of(pictures: Sequence[Picture], side_px: int) -> list[NDArray[np.uint8]]:
    """The pictures as batches of pixels, uint8 (≤ 8, S, S, 3), as a user's are prepared."""
    return [
        np.stack([squash(picture.path, side_px) for picture in pictures[part]])
        for part in batches(len(pictures), 8)
    ]


@torch.inference_mode()
def _hubness(
    towers: Towers, sources: Sources, tokenizer: Tokenizer, recipe: Recipe, seed: int
) -> HubnessCorrection:
    """The correction with a bank of captions learnt from, fitted on the pictures held out."""
    learnt = [text for picture in sources.learnt for text in picture.captions]
    order = np.random.default_rng(seed).permutation(len(learnt))[:_BANK_TEXTS]
    bank = condense(embed_texts(towers, tokenizer, [learnt[i] for i in order]), recipe.bank, seed)
    pictures = torch.cat(
        [
            towers.vector(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 127.5 - 1.0)
            for batch in pixels_of(sources.held, towers.shape.first_use_px)
        ]
    )
    captions = [text for picture in sources.held for text in picture.captions]
    owner = np.repeat(np.arange(len(sources.held)), [len(p.captions) for p in sources.held])
    texts = embed_texts(towers, tokenizer, captions)
    return HubnessCorrection(bank, pictures, fit_hubness(bank, pictures, texts, owner))


def embed_texts(towers: Towers, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Unit vectors (n, dim) of the trained text tower."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    vectors = torch.empty(len(texts), towers.shape.dim)
    for rows, tokens, mask in by_length(ids, 256):
        vectors[torch.from_numpy(rows)] = towers.text(tokens, mask)[0]
    return vectors


def _write_config(
    out: Path, recipe: Recipe, towers: Towers, weight: float, least_presence: float
) -> None:
    shape = towers.shape
    config: dict[str, Any] = {
        "name": "compact",
        "version": VERSION,
        "dim": shape.dim + EXTRA_DIMENSIONS,
        "image": {"size_px": shape.first_use_px, "resize": "squash", "interpolation": "bicubic"},
        "text": {"max_tokens": shape.text.max_tokens},
        "tokens": {
            "grid": [shape.grid, shape.grid],
            "whole_rows": shape.whole_rows,
            "dim": shape.token_dim,
            "word_dim": shape.word_dim,
            "scale": TOKEN_STEP,
        },
        "reranker": {"weight": weight, "least_presence": least_presence},
    }
    config["fingerprint"] = compact_fingerprint(out, config)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
