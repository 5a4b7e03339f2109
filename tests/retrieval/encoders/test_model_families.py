"""Every family of open_clip's models becomes an ONNX twin, in float and in int8."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.base import Pixels
from retrieval.encoders.onnx.encoder import OnnxEncoder
from retrieval.encoders.onnx.model_store import ExportedModels
from retrieval.encoders.open_clip import OpenClipEncoder
from retrieval.encoders.precision import Precision
from retrieval.images.decode import read_image, to_pixels
from tests.support.model_families import save_family

FAMILIES = ("quickgelu", "siglip2", "mobileclip2", "xlm-roberta", "convnext", "coca", "eva02")
TEXTS = ["a dog on a beach", "two children on a swing", "un chien sur la plage", "海滩上的狗"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(request.param, tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def by_torch(model: Path) -> OpenClipEncoder:
    return OpenClipEncoder(str(model))


@pytest.fixture(scope="module")
def pixels(by_torch: OpenClipEncoder, photos: Path) -> Pixels:
    files = sorted(photos.iterdir())
    return np.stack([to_pixels(read_image(file), by_torch.preprocessing) for file in files])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_family_s_twin_gives_the_vectors_that_torch_gives(
    precision: Precision,
    model: Path,
    by_torch: OpenClipEncoder,
    pixels: Pixels,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = OnnxEncoder(str(model), precision, ExportedModels(tmp_path))
    with caplog.at_level(logging.WARNING):
        found, texts = twin.encode_images(pixels).vectors, twin.encode_texts(TEXTS).vectors
    assert "torch" not in twin.arithmetic.values(), caplog.text
    for own, theirs in (
        (found, by_torch.encode_images(pixels).vectors),
        (texts, by_torch.encode_texts(TEXTS).vectors),
    ):
        assert np.allclose(np.linalg.norm(own, axis=1), 1.0, atol=1e-5)
        cosines = (own * theirs).sum(axis=1)
        assert cosines.mean() >= (0.9999 if precision == "fp32" else 0.998)
    if precision == "int8":
        assert set(twin.arithmetic.values()) == {"int8"}, caplog.text
    # The order of a tower's own answers, which a collapsed model would not have.
    assert np.linalg.matrix_rank(texts, tol=1e-4) == len(TEXTS)
