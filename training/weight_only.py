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
    """Put the weights of all products with constants into eight bits, a step for each column."""
    model = onnx.load(source)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    weights = {
        node.input[1]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    }
    for place, name in enumerate(sorted(weights)):
        plain = numpy_helper.to_array(constants[name])
        steps = np.maximum(np.abs(plain).max(axis=0) / _LEVELS, _LEAST_STEP).astype(np.float32)
        codes = np.round(plain / steps).astype(np.int8)
        # ONNX Runtime makes a wrong zero point of its own where a column has none.
        kept = {
            f"{name}_codes": codes,
            f"{name}_steps": steps,
            f"{name}_zeros": np.zeros(len(steps), np.int8),
        }
        graph.initializer.remove(constants[name])
        graph.initializer.extend(numpy_helper.from_array(own, key) for key, own in kept.items())
        # By the name that the products know, so that they stay as they are.
        graph.node.insert(place, helper.make_node("DequantizeLinear", list(kept), [name], axis=1))
    onnx.checker.check_model(model)
    onnx.save(model, target)
