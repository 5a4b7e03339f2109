"""The answer network as ONNX with weights of eight bits, checked against what it came from."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from retrieval.encoders.onnx.session import OnnxSession
from training.answering.network import AnswerNetwork, OneQuestion
from training.weight_only import quantise_weights

_INPUTS = ("words", "mask", "subject", "tokens", "vectors")
# Weights of eight bits move logits of some ten units by hundredths.
_TOLERANCE = 0.35


def export(network: AnswerNetwork, file: Path) -> None:
    """Write the network to `file`: one question (words, mask, subject) about n pictures.

    Raises SystemExit where what ONNX Runtime gives is not what torch gives.
    """
    network.eval()
    module = OneQuestion(network).eval()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        torch.onnx.export(
            module,
            _example(network, words=5, pictures=3, seed=0),
            str(plain),
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_shapes={
                "words": {1: torch.export.Dim.DYNAMIC},
                "mask": {1: torch.export.Dim.DYNAMIC},
                "subject": {},
                "tokens": {0: torch.export.Dim.DYNAMIC},
                "vectors": {0: torch.export.Dim.DYNAMIC},
            },
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        quantise_weights(plain, file)
    session = OnnxSession(file)
    for seed, (words, pictures) in enumerate(((3, 1), (9, 4), (14, 50)), start=1):
        example = _example(network, words, pictures, seed)
        inputs = {name: tensor.numpy() for name, tensor in zip(_INPUTS, example, strict=True)}
        with torch.inference_mode():
            expected = module(*example).numpy()
        found = session.run(["logits"], inputs)[0]
        if found.shape != expected.shape or np.abs(found - expected).max() > _TOLERANCE:
            raise SystemExit("The exported answerer does not agree with the trained one.")


def _example(
    network: AnswerNetwork, words: int, pictures: int, seed: int
) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(seed)
    shape = network.shape
    rows = shape.grid[0] * shape.grid[1] + shape.whole_rows
    vectors = rng.normal(size=(1 + pictures, shape.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mask = np.ones((1, words), dtype=bool)
    mask[:, 0] = mask[:, -1] = words < 3
    return (
        torch.from_numpy(rng.normal(size=(1, words, shape.word_dim)).astype(np.float32)),
        torch.from_numpy(mask),
        torch.from_numpy(vectors[:1]),
        torch.from_numpy(
            rng.integers(-127, 128, (pictures, rows, shape.token_dim)).astype(np.int8)
        ),
        torch.from_numpy(vectors[1:]),
    )
