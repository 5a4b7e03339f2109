"""Encoding stands apart from writing: it runs ahead, elsewhere if need be, each content once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index_folders
from indexer.pipeline.encode import EncodedBatch, LocalEncoding, encode_batch
from indexer.pipeline.read import LoadedFile
from indexer.pipeline.scan import ScannedFile
from retrieval.catalog import Catalog
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.images.decode import DecodedImage
from tests.support.small_encoder import ColorEncoder


def loaded(name: str, content: int, items: int = 1) -> LoadedFile:
    pixels = [np.full((32, 32, 3), content + n, np.uint8) for n in range(items)]
    return LoadedFile(
        ScannedFile(name, 1, 1),
        bytes([content]) * 16,
        items=tuple(DecodedImage(own, 32, 32) for own in pixels),
    )


def test_a_content_is_encoded_once_in_a_run_and_every_item_has_its_row() -> None:
    encoder = ColorEncoder()
    batches = [[loaded("a", 1), loaded("b", 1), loaded("v", 2, items=3)], [loaded("c", 1)], []]
    first, second, third = LocalEncoding(encoder).encode(batches)
    assert (first.count, second.count, third.count) == (4, 0, 0)
    assert encoder.seen == 4
    assert first.first_row == {bytes([1]) * 16: 0, bytes([2]) * 16: 1}
    assert first.encoding is not None
    for row, colour in enumerate((1, 2, 3, 4)):
        alone = encoder.encode_images(np.full((1, 32, 32, 3), colour, np.uint8)).vectors[0]
        np.testing.assert_allclose(first.encoding.vectors[row], alone, atol=1e-6)
    assert [len(batch.files) for batch in (first, second, third)] == [3, 1, 0]


def test_the_next_batch_is_encoded_while_one_is_in_hand() -> None:
    begun = threading.Semaphore(0)

    class Announcing(ColorEncoder):
        def encode_images(self, pixels: Pixels) -> ImageEncoding:
            begun.release()
            return super().encode_images(pixels)

    running = LocalEncoding(Announcing()).encode([[loaded("a", 1)], [loaded("b", 2)]])
    next(running)
    assert begun.acquire(timeout=5) and begun.acquire(timeout=5)
    assert len(list(running)) == 1


def test_what_the_encoder_raises_comes_out_with_its_batch() -> None:
    class Failing(ColorEncoder):
        def encode_images(self, pixels: Pixels) -> ImageEncoding:
            if self.seen:
                raise RuntimeError("out of memory")
            return super().encode_images(pixels)

    running = LocalEncoding(Failing()).encode([[loaded("a", 1)], [loaded("b", 2)]])
    assert next(running).count == 1
    with pytest.raises(RuntimeError, match="out of memory"):
        next(running)


class Elsewhere:
    """A backend of somebody's own, that takes all batches before it gives the first."""

    def __init__(self, encoder: ColorEncoder) -> None:
        self.encoder = encoder

    def encode(self, batches: Iterable[Sequence[LoadedFile]]) -> Iterator[EncodedBatch]:
        yield from [encode_batch(self.encoder, batch, batch) for batch in batches]


def test_a_backend_of_one_s_own_makes_the_same_index(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for number in range(40):
        Image.new("RGB", (16, 16), (number * 6, 255 - number, 40)).save(library / f"{number}.png")
    (library / "copy.png").write_bytes((library / "0.png").read_bytes())
    far = ColorEncoder()
    near = ColorEncoder()
    index_folders([library], tmp_path / "far", encoder=near, backend=Elsewhere(far))
    assert near.seen == 0
    index_folders([library], tmp_path / "near", encoder=ColorEncoder())
    vectors = []
    for name in ("far", "near"):
        with Catalog.open(tmp_path / name / "catalog.sqlite") as catalog:
            found = catalog.items(catalog.item_ids().tolist())
            held = catalog.vectors(list(found))
            vectors.append({item.path: held[id_].tobytes() for id_, item in found.items()})
    assert vectors[0] == vectors[1] and len(vectors[0]) == 41
