"""Three large models by name, for those with a network, and how long they take on this machine.

What is published of a model stands here with its source; nothing is measured but the speed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

# Reading and decoding a photograph of some megapixels, on one core.
_DECODING_S = 0.05
# A picture tower in eight bits against a plain matrix product in float: ViT-B/32, 8.8 GFLOPs, at
# 17 pictures a second on two cores (`benchmarks/results/open_clip_indexing.md`).
_TOWER_SPEEDUP = 1.5
_SIDE = 768
_TRIAL_S = 0.15


@dataclass(frozen=True)
class RecommendedModel:
    """A model of open_clip that serves a purpose.

    `size_bytes` are downloaded. `image_gflops`: what a picture costs its tower. `published`: what
    its makers measured, found at `source`.
    """

    name: str
    serves: str
    size_bytes: int
    languages: str
    licence: str
    image_gflops: float
    published: str
    source: str


RECOMMENDED = (
    RecommendedModel(
        "MobileCLIP2-S0/dfndr2b",
        "small and fast",
        300_000_000,
        "English",
        "Apple AMLR: for research alone",
        4.8,
        "ImageNet 71.5 %",
        "https://huggingface.co/apple/MobileCLIP2-S0",
    ),
    RecommendedModel(
        "ViT-B-32-SigLIP2-256/webli",
        "many languages",
        1_510_000_000,
        "over a hundred",
        "Apache-2.0",
        11.5,
        "COCO text to image R@1 47.2 %, ImageNet 74.0 %",
        "https://github.com/google-research/big_vision, README_siglip2.md",
    ),
    RecommendedModel(
        "ViT-L-16-SigLIP2-384/webli",
        "the best answers",
        3_530_000_000,
        "over a hundred",
        "Apache-2.0",
        383.9,
        "COCO text to image R@1 55.3 %, ImageNet 83.1 %",
        "https://github.com/google-research/big_vision, README_siglip2.md",
    ),
)


def measure_gflops() -> float:
    """Thousand millions of float operations a second that a matrix product reaches, in 0.2 s."""
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    _ = matrix @ matrix
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < _TRIAL_S:
        _ = matrix @ matrix
        done += 1
    return 2.0 * _SIDE**3 * done / (time.perf_counter() - started) / 1e9


def seconds_a_picture(model: RecommendedModel, gflops: float, cores: int | None = None) -> float:
    """About how long one picture takes to index without a graphics card, for `gflops` of ours."""
    workers = cores or os.cpu_count() or 1
    return _DECODING_S / workers + model.image_gflops / (_TOWER_SPEEDUP * gflops)
