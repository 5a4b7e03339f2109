"""Smaller and faster graphs: int8 matrix products and int8 embedding tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from retrieval.encoders.precision import WEIGHT_BITS

# 64: two products of it and a byte still fit in 16 bits.
_LARGEST_WEIGHT = 2 ** (WEIGHT_BITS - 1)
_LARGEST_ENTRY = 127
# A smaller table is no gain worth a rounding.
_LARGE_TABLE = 1_000_000


def quantize(source: Path, target: Path, *, with_projections_down: bool) -> None:
    """Write the graph in `source` with its products of states and weights in int8.

    States are quantised as they come, weights ahead, symmetrically, with a scale for each column.
    Without `with_projections_down` those products stay in float that take a wider row to a
    narrower one, as the second of each MLP does: their states have the largest outliers, see
    Dettmers et al., *LLM.int8()* (2022). Embedding tables get a scale for each row.
    """
    model = onnx.load(source)
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    quantised_states: dict[str, list[str]] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        matrix = _weights_of(node, weights)
        if node.op_type == "Gather" and matrix is not None and uses[node.input[0]] == 1:
            nodes += _gather_int8(model, node, matrix)
        elif (
            node.op_type in ("MatMul", "Gemm")
            and matrix is not None
            and (with_projections_down or matrix.shape[0] <= matrix.shape[1])
        ):
            states = node.input[0]
            if states not in quantised_states:
                quantised_states[states] = [
                    f"{states}_{part}" for part in ("int8", "scale", "zero")
                ]
                nodes.append(
                    helper.make_node("DynamicQuantizeLinear", [states], quantised_states[states])
                )
            nodes += _product_int8(model, node, matrix, quantised_states[states])
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(model)
    onnx.save(model, target)


def _weights_of(node: NodeProto, weights: dict[str, TensorProto]) -> NDArray[np.float32] | None:
    """The matrix that states are multiplied by, (in, out), or that rows are gathered from."""
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type == "Gather":
        table = weights.get(node.input[0])
        is_large = table is not None and int(np.prod(table.dims)) >= _LARGE_TABLE
        if table is None or not is_large or attributes.get("axis", 0) != 0:
            return None
    elif node.op_type in ("MatMul", "Gemm"):
        table = weights.get(node.input[1])
        is_plain = attributes.get("transA", 0) == 0 and attributes.get("alpha", 1.0) == 1.0
        if table is None or not is_plain or attributes.get("beta", 1.0) != 1.0:
            return None
    else:
        return None
    if len(table.dims) != 2 or table.data_type != TensorProto.FLOAT:
        return None
    values: NDArray[np.float32] = numpy_helper.to_array(table)
    return values.T if attributes.get("transB", 0) else values


def _product_int8(
    model: ModelProto, node: NodeProto, matrix: NDArray[np.float32], states: list[str]
) -> Iterator[NodeProto]:
    name = node.output[0]
    scales = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / _LARGEST_WEIGHT
    _add(model, f"{name}_weights", np.rint(matrix / scales).astype(np.int8))
    _add(model, f"{name}_scales", scales.astype(np.float32))
    bytes_, scale, zero = states
    has_bias = node.op_type == "Gemm" and len(node.input) > 2
    product = f"{name}_product" if has_bias else name
    # In this form ONNX Runtime makes one kernel of it.
    yield helper.make_node(
        "MatMulInteger", [bytes_, f"{name}_weights", zero], [f"{name}_sums"], name=f"{name}_int8"
    )
    yield helper.make_node("Cast", [f"{name}_sums"], [f"{name}_whole"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [scale, f"{name}_scales"], [f"{name}_factors"])
    yield helper.make_node("Mul", [f"{name}_whole", f"{name}_factors"], [product])
    if has_bias:
        yield helper.make_node("Add", [product, node.input[2]], [name])


def _gather_int8(
    model: ModelProto, node: NodeProto, table: NDArray[np.float32]
) -> Iterator[NodeProto]:
    name, ids = node.output[0], node.input[1]
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / _LARGEST_ENTRY
    _add(model, f"{name}_table", np.rint(table / scales).astype(np.int8))
    _add(model, f"{name}_scales", scales.astype(np.float32))
    yield helper.make_node("Gather", [f"{name}_table", ids], [f"{name}_int8"], axis=0)
    yield helper.make_node("Cast", [f"{name}_int8"], [f"{name}_whole"], to=TensorProto.FLOAT)
    yield helper.make_node("Gather", [f"{name}_scales", ids], [f"{name}_factors"], axis=0)
    yield helper.make_node("Mul", [f"{name}_whole", f"{name}_factors"], [name])


def _add(model: ModelProto, name: str, values: NDArray[np.generic]) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))


def _drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [item for item in model.graph.initializer if item.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
