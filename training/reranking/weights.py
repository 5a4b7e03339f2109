"""The network behind an exported reranker, with the weights that its graph holds in eight bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from retrieval.encoders.onnx.session import OnnxSession
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape

Array = NDArray[np.float32]
# Where the inputs of ONNX Runtime's quantised products stand: the weights, their scale, their zero.
_PRODUCTS = {"DynamicQuantizeMatMul": (1, 2, 3), "MatMulIntegerToFloat": (1, 3, 5)}
# What asks in a question's order of multiplying has these by heads, see `one_to_many`.
_BY_HEADS = ("attention.key.weight", "attention.value.weight")
# In eight bits the graph's scores differ from the network's by hundredths, of units of ten.
_TOLERANCE = 0.5


class UnreadableGraphError(ValueError):
    """The graph is none that `training.export.export_reranker` wrote."""


def read_reranker(file: Path, shape: RerankerShape, dropout: float) -> RerankerNetwork:
    """A network of that shape that scores as the graph does, for training on.

    Raises UnreadableGraphError where the graph is another network's.
    """
    graph = _Graph(onnx.load(file).graph)
    network = RerankerNetwork(shape, dropout)
    state = network.state_dict()
    found: dict[str, Array] = {}
    for name in state:
        if f"network.{name}" in graph.constants:
            found[name] = graph.plain(f"network.{name}")
        elif name.endswith(".weight") and name not in _BY_HEADS:
            found[name] = graph.weights_beside(f"network.{name.removesuffix('weight')}bias")
    width, each = shape.width, shape.width // shape.heads
    found["attention.key.weight"] = graph.of_dims(shape.heads, each, width).reshape(width, width)
    values = graph.of_dims(shape.heads, width, each).transpose(0, 2, 1)
    found["attention.value.weight"] = values.reshape(width, width)
    # It drops out of the softmax, and so out of the graph.
    found["attention.key.bias"] = np.zeros(width, np.float32)
    for name, scale in zip(("scale", "whole_scale"), graph.scales(), strict=False):
        if name in state:
            found[name] = np.log(scale)
    try:
        network.load_state_dict({name: _tensor(found[name]) for name in state})
    except (KeyError, RuntimeError) as error:
        raise UnreadableGraphError(f"{file} holds another network than {shape}.") from error
    _check(network, file)
    return network


class _Graph:
    """The constants of a graph, by name and by what they are used for."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {own.name: numpy_helper.to_array(own) for own in graph.initializer}
        self._nodes = list(graph.node)

    def plain(self, name: str) -> Array:
        found: Array = self.constants[name].astype(np.float32)
        return found

    def weights_beside(self, bias: str) -> Array:
        """The weights (out, in) of the product that a bias is added to, which keep no name."""
        for node in self._nodes:
            if bias not in node.input:
                continue
            product = node if node.op_type in _PRODUCTS else self._maker(node)
            if product is None or product.op_type not in _PRODUCTS:
                break
            codes, scale, zero = (
                self.plain(product.input[place]) for place in _PRODUCTS[product.op_type]
            )
            weights: Array = ((codes - zero) * scale).T
            return weights
        raise UnreadableGraphError(f"The graph has no product with {bias}.")

    def of_dims(self, *dims: int) -> Array:
        """The one constant of these sizes."""
        found = [own for own in self.constants.values() if own.shape == dims]
        if len(found) != 1:
            raise UnreadableGraphError(f"The graph has {len(found)} constants of {dims}, not one.")
        only: Array = found[0].astype(np.float32)
        return only

    def scales(self) -> list[Array]:
        """What sums are multiplied by, in order."""
        sums = {node.output[0] for node in self._nodes if node.op_type == "ReduceSum"}
        return [
            self.plain(node.input[1])
            for node in self._nodes
            if node.op_type == "Mul"
            and node.input[0] in sums
            and node.input[1] in self.constants
            and self.constants[node.input[1]].ndim == 0
        ]

    def _maker(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The node that makes the other input of an addition."""
        made = set(node.input) - set(self.constants)
        return next((own for own in self._nodes if made & set(own.output)), None)


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _check(network: RerankerNetwork, file: Path) -> None:
    rng = np.random.default_rng(0)
    shape = network.shape
    words = rng.normal(size=(1, 7, shape.words)).astype(np.float32)
    patches = rng.integers(-127, 128, size=(20, shape.rows, shape.token_dim)).astype(np.int8)
    mask = np.ones((1, 7), bool)
    (theirs,) = OnnxSession(file).run(
        ["scores"], {"words": words, "mask": mask, "patches": patches}
    )
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        ours = network.score_question(
            torch.from_numpy(words), torch.from_numpy(mask), torch.from_numpy(patches)
        )[0].numpy()
    network.train(was_training)
    if not np.allclose(ours, theirs, atol=_TOLERANCE):
        raise UnreadableGraphError(f"{file} scores otherwise than the network read from it.")
