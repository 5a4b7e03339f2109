"""Whether this processor's quick products of eight-bit numbers overflow.

x86 processors without VNNI add pairs of products in sixteen bits. Which ones do is asked of ONNX
Runtime, by a product that would show it, since no flag is known on every system.
"""

from __future__ import annotations

import base64
from functools import cache

import numpy as np

# A graph of one node: bytes (1, 4) times four weights of 127, as sums (1, 1).
_GRAPH = base64.b64decode(
    "CAg6eQolCgVieXRlcwoHd2VpZ2h0cxIEc3VtcyINTWF0TXVsSW50ZWdlchIIcHJvZHVjdHMqFQgECAEQ"
    "A0IHd2VpZ2h0c0oEf39/f1oXCgVieXRlcxIOCgwIAhIICgIIAQoCCARiFgoEc3VtcxIOCgwIBhIICgII"
    "AQoCCAFCBAoAEA0="
)
_LARGEST_BYTE, _SUM = 255, 4 * 255 * 127


@cache
def products_overflow() -> bool:
    """Whether they do; found once, in a few milliseconds."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_GRAPH, options, providers=["CPUExecutionProvider"])
    (sums,) = session.run(["sums"], {"bytes": np.full((1, 4), _LARGEST_BYTE, np.uint8)})
    return int(sums[0, 0]) != _SUM
