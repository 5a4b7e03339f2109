"""From trained towers to the ONNX files that the product ships, in eight bits and fewer.

Convolutions are quantised statically (weights and activations, calibrated on pictures), matrix
products dynamically, in the picture towers their weights alone; the table of word vectors and the
widest layers of the picture's head to four bits in blocks of 32.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from retrieval.encoders.onnx.session import EXACT_PRODUCTS, session_options
from retrieval.rerankers.training.export import export as export_exactly
from retrieval.rerankers.training.network import RerankerNetwork
from training.efficientnet import SameConv
from training.hubness import HubnessCorrection
from training.packing import PackedEmbedding, PackedLinear
from training.towers import TextTower, Towers
from training.weight_only import quantise_weights

OPSET = 18
T = TypeVar("T", bound=nn.Module)


class ImageGraph(nn.Module):
    """Pixels as bytes to a unit vector and patch tokens of eight bits."""

    def __init__(self, towers: Towers, hubness: HubnessCorrection, token_scale: float) -> None:
        super().__init__()
        self.vector = folded(towers.vector)
        # The head's two wide layers would be a fifth of this file; four bits do for them.
        self.vector.head.add_module("linear", PackedLinear(towers.vector.head.linear))
        self.vector.head.add_module("inner", PackedLinear(towers.vector.head.inner))
        self.patch = folded(towers.patch)
        self.hubness = hubness
        self.token_scale = token_scale
        self.second_px = towers.shape.second_use_px

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (n, S, S, 3) → vectors (n, dim), tokens int8 (n, rows, token_dim)."""
        inputs = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        smaller = F.interpolate(inputs, (self.second_px, self.second_px), mode="bilinear")
        tokens = (self.patch(smaller) / self.token_scale).round().clamp(-127, 127)
        return self.hubness.pictures(self.vector(inputs)), tokens.to(torch.int8)


class TextGraph(nn.Module):
    """Token ids to a unit vector and word tokens."""

    def __init__(self, text: TextTower, hubness: HubnessCorrection) -> None:
        super().__init__()
        self.text = text
        self.hubness = hubness
        self.words = PackedEmbedding(text.encoder.words.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """int64 (n, L) twice → vectors (n, dim), tokens float32 (n, L, word_dim)."""
        mask = attention_mask > 0
        single, mixed = self.text.encoder.contextual(self.words(input_ids), mask)
        vectors, tokens = self.text.outputs(single, mixed, mask)
        return self.hubness.texts(vectors), tokens


def folded(tower: T) -> T:
    """A copy whose batch norms are part of the convolutions before them."""
    copied = copy.deepcopy(tower).to(memory_format=torch.contiguous_format).eval()
    for module in copied.modules():
        if isinstance(module, SameConv) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.add_module("norm", nn.Identity())
    return copied


def export_picture_tower(
    graph: ImageGraph, calibration: Sequence[NDArray[np.uint8]], file: Path
) -> None:
    """Write the picture tower. `calibration`: batches of pixels, uint8 (n, S, S, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.onnx"
        prepared = Path(folder) / "prepared.onnx"
        convolved = Path(folder) / "convolved.onnx"
        export_graph(
            graph,
            (torch.from_numpy(calibration[0][:2]),),
            exact,
            inputs=["pixels"],
            outputs=["embedding", "tokens"],
            dynamic={"pixels": {0: torch.export.Dim.DYNAMIC}},
        )
        # Its optimiser would unpack the four-bit weights, for good.
        quant_pre_process(exact, prepared, skip_symbolic_shape=True, skip_optimization=True)
        quantize_static(
            prepared,
            convolved,
            _Batches(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        quantise_weights(convolved, file)


def export_text_tower(text: TextTower, hubness: HubnessCorrection, file: Path) -> None:
    """Write the text tower."""
    ids = torch.arange(4, 20).view(2, 8)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.onnx"
        export_graph(
            TextGraph(text, hubness),
            (ids, torch.ones_like(ids)),
            exact,
            inputs=["input_ids", "attention_mask"],
            outputs=["embedding", "tokens"],
            dynamic={
                name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
                for name in ("input_ids", "attention_mask")
            },
        )
        _quantise_products(exact, file)
    optimise(file)


def export_reranker(network: RerankerNetwork, token_scale: float, file: Path) -> None:
    """Write the reranker for patch tokens whose codes have steps of `token_scale`."""
    network.shape = replace(network.shape, patch_scale=token_scale)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.onnx"
        export_exactly(network, exact)
        _quantise_products(exact, file)
    optimise(file)


def optimise(file: Path) -> None:
    """Keep a graph as ONNX Runtime rewrites it when it loads, so that no question waits for that.

    What it computes stays the same, bit by bit. Eight-bit weights come out unsigned, as x86
    processors without VNNI need them to be exact: else they were made so there at loading.
    """
    options = session_options()
    options.add_session_config_entry(EXACT_PRODUCTS, "1")
    # Further rewriting would be for this processor alone.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        rewritten = Path(folder) / file.name
        options.optimized_model_filepath = str(rewritten)
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        model = onnx.load(rewritten)
    # It lists every set of operators that it knows, where a reader may know fewer.
    used = {node.domain for node in model.graph.node}
    kept = {entry.domain: entry for entry in model.opset_import if entry.domain in used}
    del model.opset_import[:]
    model.opset_import.extend(kept.values())
    onnx.save(model, file)


def export_graph(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    file: Path,
    *,
    inputs: list[str],
    outputs: list[str],
    dynamic: dict[str, Any],
) -> None:
    """Write a graph in OPSET as one file; `dynamic` says which sizes of its inputs vary."""
    torch.onnx.export(
        graph.eval(),
        example,
        str(file),
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=dynamic,
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _quantise_products(source: Path, target: Path) -> None:
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Batches of pixels as the calibration wants them."""

    def __init__(self, batches: Sequence[NDArray[np.uint8]]) -> None:
        self._rest = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch, None at the end."""
        pixels = next(self._rest, None)
        return None if pixels is None else {"pixels": pixels}
