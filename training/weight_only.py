"""Products whose weights take eight bits and whose inputs stay floats.

A dynamic quantisation scales the inputs of all of a batch alike: what comes out for a picture would
depend on the pictures beside it, and an index made again would not be the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

_LEVELS = 127
_LEAST_STEP = 1e-12


def quantise_weights(source: Path, target: Path) -> None:
    """Put the weights of all products with constants into eight bits, a step for each output."""
    model = onnx.load(source)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {
        node.input[1]: _output_axis(node)
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in constants
    }
    for place, (name, axis) in enumerate(sorted(outputs.items())):
        plain = numpy_helper.to_array(constants[name])
        largest = np.abs(plain).max(axis=1 - axis, keepdims=True)
        steps = np.maximum(largest / _LEVELS, _LEAST_STEP).astype(np.float32)
        codes = np.round(plain / steps).astype(np.int8)
        # ONNX Runtime makes a wrong zero point of its own where an output has none.
        kept = {
            f"{name}_codes": codes,
            f"{name}_steps": steps.ravel(),
            f"{name}_zeros": np.zeros(steps.size, np.int8),
        }
        graph.initializer.remove(constants[name])
        graph.initializer.extend(numpy_helper.from_array(own, key) for key, own in kept.items())
        # By the name that the products know, so that they stay as they are.
        unpacked = helper.make_node("DequantizeLinear", list(kept), [name], axis=axis)
        graph.node.insert(place, unpacked)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _output_axis(node: onnx.NodeProto) -> int:
    """Which axis of a product's weights runs over its outputs."""
    transposed = any(own.name == "transB" and own.i for own in node.attribute)
    return 0 if transposed else 1
