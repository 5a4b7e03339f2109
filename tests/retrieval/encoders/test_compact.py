"""The built-in encoder: small, self-contained, and right about plain photographs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder, compact_fingerprint
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from samples.photos import copy_photos


@pytest.fixture(scope="module")
def encoder() -> CompactEncoder:
    return CompactEncoder()


@pytest.fixture(scope="module")
def photos(
    encoder: CompactEncoder, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """Pixels by the photograph's name."""
    paths = copy_photos(tmp_path_factory.mktemp("photos"))
    return {path.stem: to_pixels(read_image(path), encoder.preprocessing) for path in paths}


def test_all_its_files_take_at_most_32_megabytes() -> None:
    assert sum(file.stat().st_size for file in COMPACT_DIR.iterdir()) <= 32_000_000


def test_vectors_and_tokens_keep_to_the_contract(
    encoder: CompactEncoder, photos: dict[str, np.ndarray]
) -> None:
    found = encoder.encode_images(np.stack(list(photos.values())))
    assert found.vectors.dtype == np.float32
    assert found.vectors.flags.c_contiguous
    assert found.vectors.shape == (len(photos), encoder.space.dim)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    assert found.patch_tokens is not None
    rows, columns = encoder.token_grid
    assert found.patch_tokens.shape[1] == rows * columns + encoder.whole_rows
    assert found.patch_tokens[0].nbytes <= 16 * 1024
    # Tokens that carry something: few codes clipped, and not all near zero.
    assert (np.abs(found.patch_tokens) == 127).mean() < 0.02
    assert found.patch_tokens.std() > 10


def test_what_a_picture_gives_does_not_hang_on_the_pictures_beside_it(
    encoder: CompactEncoder, photos: dict[str, np.ndarray]
) -> None:
    pixels = np.stack(list(photos.values()))
    among, alone = encoder.encode_images(pixels), encoder.encode_images(pixels[:1])
    assert np.allclose(among.vectors[0], alone.vectors[0], atol=1e-6)
    assert among.patch_tokens is not None and alone.patch_tokens is not None
    assert np.array_equal(among.patch_tokens[0], alone.patch_tokens[0])


def test_eight_bit_kernels_do_not_overflow_on_any_processor(
    encoder: CompactEncoder, photos: dict[str, np.ndarray]
) -> None:
    pixels = np.stack(list(photos.values())[:8])
    options = onnxruntime.SessionOptions()
    # Node by node, each eight-bit number made a float first: slow, and nothing can overflow.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(COMPACT_DIR / "image.onnx", options)
    exact = plain.run(["embedding"], {"pixels": pixels})[0]
    found = encoder.encode_images(pixels).vectors
    assert float((exact * found).sum(axis=1).min()) > 0.99


@pytest.mark.parametrize(
    ("words", "photo"),
    [
        ("a cat", "chelsea"),
        ("a cup of coffee", "coffee"),
        ("a rocket on its launch pad", "rocket"),
        ("a motorcycle", "motorcycle_left"),
        ("a temple in china", "china"),
        ("a flower in bloom", "flower"),
    ],
)
def test_words_are_nearest_to_the_photograph_they_describe(
    encoder: CompactEncoder, photos: dict[str, np.ndarray], words: str, photo: str
) -> None:
    vectors = encoder.encode_images(np.stack(list(photos.values()))).vectors
    best = int(np.argmax(vectors @ encoder.encode_texts([words]).vectors[0]))
    assert list(photos)[best] == photo


def test_a_text_s_encoding_does_not_depend_on_its_company(encoder: CompactEncoder) -> None:
    alone = encoder.encode_texts(["a dog"])
    beside = encoder.encode_texts(["a dog", "a very long text " * 8])
    assert alone.word_tokens is not None and beside.word_tokens is not None
    assert beside.word_mask is not None
    np.testing.assert_array_equal(alone.vectors[0], beside.vectors[0])
    words = alone.word_tokens.shape[1]
    np.testing.assert_array_equal(alone.word_tokens[0], beside.word_tokens[0, :words])
    assert not beside.word_mask[0, words:].any()


def test_a_single_text_or_pixels_of_another_shape_are_refused(encoder: CompactEncoder) -> None:
    with pytest.raises(TypeError, match="put a single text in a list"):
        encoder.encode_texts("a dog")
    assert encoder.encode_texts([]).vectors.shape[0] == 0
    with pytest.raises(ValueError, match="shape"):
        encoder.encode_images(np.zeros((1, 10, 10, 3), np.uint8))
    with pytest.raises(TypeError, match="uint8"):
        encoder.encode_images(np.zeros((1, 256, 256, 3), np.float32))


@pytest.mark.parametrize(
    ("word", "like", "unlike"),
    [
        ("a volcano", "lava and smoke from a mountain", "a sandwich"),
        ("spaghetti", "noodles with tomato sauce", "a bicycle"),
        ("a skyscraper", "a tall office building", "a kitten"),
        ("a giraffe", "a tall animal in africa", "a computer"),
        ("a violinist", "a musician with an instrument", "a snowboard"),
    ],
)
def test_words_that_captions_seldom_have_lie_near_words_of_like_meaning(
    encoder: CompactEncoder, word: str, like: str, unlike: str
) -> None:
    vectors = encoder.encode_texts([word, like, unlike]).vectors
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[2]) + 0.1


def test_word_tokens_leave_out_padding_and_marks(encoder: CompactEncoder) -> None:
    found = encoder.encode_texts(["a dog", "two dogs run on a beach"])
    assert found.words is not None
    assert found.word_mask is not None
    assert found.word_tokens is not None
    kept = [
        [word for word, counts in zip(words, mask, strict=True) if counts]
        for words, mask in zip(found.words, found.word_mask, strict=True)
    ]
    assert kept == [["a", "dog"], ["two", "dogs", "run", "on", "a", "beach"]]
    assert found.word_tokens.shape[:2] == found.word_mask.shape


def test_a_text_too_long_is_cut(encoder: CompactEncoder) -> None:
    long = encoder.encode_texts(["dog " * 500])
    assert long.word_mask is not None
    assert long.word_mask.shape[1] <= 32


def test_threads_get_the_same_vectors(encoder: CompactEncoder) -> None:
    texts = [f"{number} dogs" for number in range(16)]
    expected = [encoder.encode_texts([text]).vectors for text in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: encoder.encode_texts([text]).vectors, texts))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_question_needs_neither_torch_nor_the_picture_tower() -> None:
    program = (
        "import sys\n"
        "from retrieval.encoders.registry import load_encoder\n"
        "encoder = load_encoder()\n"
        "encoder.encode_texts(['a dog'])\n"
        "assert encoder._images._session._session is None\n"
        "print(sorted({'torch', 'open_clip', 'faiss'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_folder_without_the_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"config\.json"):
        CompactEncoder(tmp_path)


def test_the_fingerprint_that_comes_with_the_model_is_that_of_its_files() -> None:
    config = json.loads((COMPACT_DIR / "config.json").read_text())
    assert config["fingerprint"] == compact_fingerprint(COMPACT_DIR, config)
    assert CompactEncoder().space.fingerprint == config["fingerprint"]


def test_a_model_elsewhere_is_known_by_its_own_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(COMPACT_DIR, folder)
    assert CompactEncoder(folder).space.fingerprint == CompactEncoder().space.fingerprint
    # Another text tower of the same space asks the same pictures; another picture tower does not.
    with (folder / "text.onnx").open("ab") as file:
        file.write(b"\0")
    assert CompactEncoder(folder).space.is_same(CompactEncoder().space)
    with (folder / "image.onnx").open("ab") as file:
        file.write(b"\0")
    assert not CompactEncoder(folder).space.is_same(CompactEncoder().space)
