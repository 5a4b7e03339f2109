"""Eight-bit products: the quick kernels where they are exact, the exact ones where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx import overflow, session
from retrieval.encoders.onnx.session import EXACT_PRODUCTS, session_options
from samples.photos import copy_photos
from training.data import squash


def exact_products(bits: int = 8) -> bool:
    try:
        return bool(session_options(bits).get_session_config_entry(EXACT_PRODUCTS) == "1")
    except RuntimeError:
        return False


def test_the_product_that_would_show_it_is_what_the_graph_computes() -> None:
    weights = numpy_helper.from_array(np.full((4, 1), 127, np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["bytes", "weights"], ["sums"])],
        "products",
        [helper.make_tensor_value_info("bytes", TensorProto.UINT8, [1, 4])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [1, 1])],
        [weights],
    )
    made = onnx.load_from_string(overflow._GRAPH)
    assert made.graph == graph
    onnx.checker.check_model(made)


def test_the_exact_kernels_are_asked_for_only_where_the_quick_ones_overflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "products_overflow", lambda: True)
    assert exact_products()
    assert not exact_products(7)
    monkeypatch.setattr(session, "products_overflow", lambda: False)
    assert not exact_products()


def test_whatever_is_chosen_here_gives_the_vectors_of_the_exact_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = copy_photos(tmp_path)[:8]
    chosen = vectors(photos)
    monkeypatch.setattr(session, "products_overflow", lambda: True)
    np.testing.assert_allclose(chosen, vectors(photos), atol=1e-3)


def vectors(photos: Sequence[Path]) -> NDArray[np.float32]:
    encoder = CompactEncoder()
    side = encoder.preprocessing.size_px
    return encoder.encode_images(np.stack([squash(photo, side) for photo in photos])).vectors
