"""The text tower's lower layers in four bits, multiplied by ONNX Runtime's own operator."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.quantization import QuantFormat
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

# The inputs are rounded to eight bits for the product, as in the layers above.
_ACCURACY_LEVEL = 4
_BLOCK = 32


def pack_products(source: Path, target: Path, count: int) -> None:
    """Put the weights of the first `count` products with constants into four bits.

    In blocks of 32 with a scale each. Products of eight bits and fewer are left as they are.
    """
    model = onnx.load(source)
    constants = {tensor.name for tensor in model.graph.initializer}
    products = [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    ]
    quantizer = MatMulNBitsQuantizer(
        model,
        nodes_to_exclude=products[count:],
        algo_config=DefaultWeightOnlyQuantConfig(
            block_size=_BLOCK,
            is_symmetric=True,
            accuracy_level=_ACCURACY_LEVEL,
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=("MatMul",),
        ),
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))
