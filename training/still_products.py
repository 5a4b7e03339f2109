"""Eight-bit products whose inputs stay floats, so that a picture's vector is its own.

A dynamic quantisation scales all of a batch alike: what comes out for a picture would depend on the
pictures beside it, and an index made again would not be the same.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import NodeProto, helper


def keep_inputs(file: Path) -> None:
    """Rewrite a graph: only the weights of its dynamic eight-bit products stay in eight bits."""
    model = onnx.load(file)
    nodes = model.graph.node
    maker = {name: node for node in nodes for name in node.output}
    users = {name: node for node in nodes for name in node.input}
    rewritten: list[NodeProto] = []
    dropped: set[str] = set()
    for product in [node for node in nodes if node.op_type == "MatMulInteger"]:
        quantised, weights, _, weights_zero = product.input
        rounding = maker[quantised]
        # product → Cast → Mul by both scales, which another Mul has multiplied.
        cast = users[product.output[0]]
        scaled = users[cast.output[0]]
        scales = maker[scaled.input[1]]
        weights_scale = next(name for name in scales.input if name not in rounding.output)
        plain = f"{weights}_plain"
        rewritten += [
            helper.make_node(
                "DequantizeLinear", [weights, weights_scale, weights_zero], [plain], axis=1
            ),
            helper.make_node("MatMul", [rounding.input[0], plain], [scaled.output[0]]),
        ]
        gone = (product, rounding, cast, scaled, scales)
        dropped |= {name for node in gone for name in node.output}
    kept = [node for node in nodes if not dropped & set(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(_in_order(kept + rewritten, model))
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _in_order(nodes: list[NodeProto], model: onnx.ModelProto) -> list[NodeProto]:
    """The nodes so that each comes after those that make its inputs."""
    known = {tensor.name for tensor in model.graph.initializer}
    known |= {value.name for value in model.graph.input} | {""}
    ordered: list[NodeProto] = []
    waiting = list(nodes)
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ValueError("the graph has a node whose inputs nothing makes")
        ordered += ready
        known |= {name for node in ready for name in node.output}
        taken = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in taken]
    return ordered
