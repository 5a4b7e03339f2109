"""Encodings of pictures are kept within their bound and never mixed up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.images.decode import read_image, to_pixels
from retrieval.images.preprocess import Preprocessing
from retrieval.rerankers.encoding_cache import EncodingCache

RULE = Preprocessing(8, "squash", "bilinear")
ONE = 8 * 8 * 3 * 4


class _Encoder:
    """Pixels as floats; counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.asked += len(pixels)
        return pixels.astype(np.float32)


@pytest.fixture
def paths(photos: Path) -> list[Path]:
    return sorted(photos.iterdir())[:7]


def test_each_place_gets_its_own_pictures_encoding(paths: list[Path], tmp_path: Path) -> None:
    encodings = EncodingCache(_Encoder(), RULE)
    asked = [*paths[:3], tmp_path / "gone.jpg", *paths[3:], paths[0]]
    for _ in range(2):
        found = {}
        for places, batch in encodings.batches(asked, 2):
            found.update(zip(places, batch, strict=True))
        assert set(found) == set(range(9)) - {3}
        for place, encoded in found.items():
            expected = to_pixels(read_image(asked[place], 8), RULE)
            assert np.array_equal(encoded, expected)


def test_a_picture_is_encoded_once_while_it_is_kept(paths: list[Path]) -> None:
    encoder = _Encoder()
    encodings = EncodingCache(encoder, RULE, max_bytes=7 * ONE)
    for _ in range(3):
        list(encodings.batches(paths, 4))
    assert encoder.asked == 7


def test_no_more_is_kept_than_allowed_and_the_oldest_goes_first(paths: list[Path]) -> None:
    encoder = _Encoder()
    encodings = EncodingCache(encoder, RULE, max_bytes=3 * ONE + 1)
    list(encodings.batches(paths, 4))
    assert encodings.kept_bytes == 3 * ONE
    list(encodings.batches(paths[4:], 4))
    assert encoder.asked == 7
    list(encodings.batches(paths[:1], 4))
    assert encoder.asked == 8
    assert encodings.kept_bytes == 3 * ONE
