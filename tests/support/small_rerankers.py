"""Small rerankers and questions for tests: real graphs, untrained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from retrieval.encoders.base import Encoder, TextEncoding
from retrieval.encoders.compact import CompactEncoder
from retrieval.images.decode import read_image, to_pixels
from retrieval.rerankers.base import Candidate, RerankQuery
from retrieval.rerankers.training.export import export
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape

COMPACT_SHAPE = RerankerShape(
    token_dim=80, patches=196, patch_scale=0.05, width=32, word_dim=192, whole_rows=4
)


def untrained_network(shape: RerankerShape = COMPACT_SHAPE) -> RerankerNetwork:
    """A network, by default for the compact encoder's tokens, with weights drawn at random."""
    torch.manual_seed(0)
    return RerankerNetwork(shape).eval()


def write_reranker(
    folder: Path, encoder: Encoder, weight: float = 0.1, shape: RerankerShape = COMPACT_SHAPE
) -> Path:
    """A folder as `mmsearch train-reranker` leaves it, with the untrained network in it."""
    folder.mkdir(parents=True, exist_ok=True)
    export(untrained_network(shape), folder / "reranker.onnx")
    settings = {"name": "own", "encoder": encoder.space.fingerprint, "weight": weight}
    (folder / "reranker.json").write_text(json.dumps(settings))
    return folder


def question(text: str, encoder: Encoder | None = None) -> RerankQuery:
    """A question, encoded where there is an encoder."""
    if encoder is None:
        return RerankQuery(text, TextEncoding(torch.zeros(1, 1).numpy()))
    return RerankQuery(text, encoder.encode_texts([text]))


def candidates(paths: Sequence[Path], encoder: CompactEncoder | None = None) -> list[Candidate]:
    """Candidates, with patch tokens where there is an encoder."""
    found = []
    for number, path in enumerate(paths, start=1):
        tokens = None
        if encoder is not None:
            pixels = to_pixels(read_image(path), encoder.preprocessing)
            encoding = encoder.encode_images(pixels[None])
            tokens = None if encoding.patch_tokens is None else encoding.patch_tokens[0]
        found.append(Candidate(number, path, 0.3, tokens))
    return found
