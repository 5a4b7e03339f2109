"""A trained reranker as ONNX: written, then checked against the network it came from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from retrieval.encoders.onnx.session import OnnxSession
from retrieval.rerankers.training.data import RerankerTrainingError
from retrieval.rerankers.training.network import OneQuestion, RerankerNetwork

# Scores are logits of a few units; ONNX Runtime sums in another order than torch.
TOLERANCE = 1e-3


def require_exporter() -> None:
    """Raise RerankerTrainingError where what exporting needs is not installed."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise RerankerTrainingError(
            f"Exporting a reranker needs {' and '.join(missing)}: run "
            "`pip install 'mmsearch[export]'`."
        )


def export(network: RerankerNetwork, path: Path) -> None:
    """Write the network to `path` (inputs words, mask, patches; outputs scores, attention).

    The file appears only once ONNX Runtime has given what torch gives, for several numbers of
    words and of pictures. Raises RerankerTrainingError where it does not, or an extra is absent.
    """
    require_exporter()
    network.eval()
    shape = network.shape
    module = OneQuestion(network).eval()
    unfinished = path.with_name(path.name + ".tmp")
    program = torch.onnx.export(
        module,
        _example(network, words=5, images=3, seed=0),
        input_names=["words", "mask", "patches"],
        output_names=["scores", "attention"],
        dynamic_shapes={
            "words": {1: torch.export.Dim.DYNAMIC},
            "mask": {1: torch.export.Dim.DYNAMIC},
            "patches": {0: torch.export.Dim.DYNAMIC},
        },
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RerankerTrainingError("The reranker cannot be exported: the exporter gave nothing.")
    program.save(unfinished, external_data=False)
    session = OnnxSession(unfinished)
    for seed, (words, images) in enumerate(((1, 1), (9, 4), (shape.patches, 50)), start=1):
        _check(network, session, _example(network, words, images, seed))
    unfinished.replace(path)


def _check(
    network: RerankerNetwork,
    session: OnnxSession,
    example: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    words, mask, patches = (tensor.numpy() for tensor in example)
    found = session.run(["scores", "attention"], {"words": words, "mask": mask, "patches": patches})
    with torch.inference_mode():
        # Not what was exported, but what was trained.
        n = len(example[2])
        expected = network(example[0].expand(n, -1, -1), example[1].expand(n, -1), example[2])
    for mine, theirs in zip(found, expected, strict=True):
        if mine.shape != tuple(theirs.shape) or not np.allclose(
            mine, theirs.numpy(), atol=TOLERANCE, rtol=TOLERANCE
        ):
            raise RerankerTrainingError(
                "The exported reranker does not agree with the trained one: report this, with "
                "the versions of torch and onnxscript."
            )


def _example(
    network: RerankerNetwork, words: int, images: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    shape = network.shape
    mask = np.ones((1, words), dtype=bool)
    mask[:, words // 2 + 1 :] = False
    patches = rng.integers(-127, 128, size=(images, shape.rows, shape.token_dim))
    return (
        torch.from_numpy(rng.normal(size=(1, words, shape.words)).astype(np.float32)),
        torch.from_numpy(mask),
        torch.from_numpy(patches.astype(np.int8)),
    )
