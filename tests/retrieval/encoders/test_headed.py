"""An encoder with heads: what it changes, whose space it is in, and how an index is asked so."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer import upgrade_index
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.headed import HeadedEncoder, HeadsSettings, write_heads
from retrieval.encoders.heads import Head, Heads
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UnknownModelError
from retrieval.rerankers.registry import load_reranker
from retrieval.search.engine import SearchEngine

TEXTS = ["a cup of coffee", "a rocket on its launch pad"]
DIM = CompactEncoder().space.dim


def _head(seed: int, size: float = 0.02) -> Head:
    rng = np.random.default_rng(seed)
    weight = size * rng.normal(size=(DIM, DIM))
    return Head(weight.astype(np.float32), (size * rng.normal(size=DIM)).astype(np.float32))


def _nothing() -> Head:
    return Head(np.zeros((DIM, DIM), np.float32), np.zeros(DIM, np.float32))


def _written(folder: Path, heads: Heads, fingerprint: str | None = None) -> str:
    folder.mkdir()
    write_heads(
        folder, heads, HeadsSettings("compact", fingerprint or CompactEncoder().space.fingerprint)
    )
    return str(folder)


def test_a_head_is_what_its_formula_says() -> None:
    head = Head(np.array([[0, 1], [0, 0]], np.float32), np.array([0, 1], np.float32))
    # (3/5, 4/5) + (4/5, 0) + (0, 1)
    expected = np.array([1.4, 1.8]) / np.hypot(1.4, 1.8)
    assert head.apply(np.array([[0.6, 0.8]], np.float32))[0] == pytest.approx(expected)


def test_heads_of_nought_change_nothing(tmp_path: Path) -> None:
    encoder = load_encoder(_written(tmp_path / "own", Heads(_nothing(), _nothing())))
    plain = CompactEncoder()
    side = plain.preprocessing.size_px
    pixels = np.full((1, side, side, 3), 90, np.uint8)
    assert encoder.encode_texts(TEXTS).vectors == pytest.approx(
        plain.encode_texts(TEXTS).vectors, abs=1e-6
    )
    assert encoder.encode_images(pixels).vectors == pytest.approx(
        plain.encode_images(pixels).vectors, abs=1e-6
    )


def test_a_head_for_texts_alone_stays_in_the_models_space(tmp_path: Path) -> None:
    encoder = load_encoder(_written(tmp_path / "own", Heads(_head(1))))
    assert encoder.space.is_same(CompactEncoder().space)
    assert encoder.space.name == str(tmp_path / "own")


def test_a_head_for_pictures_makes_a_space_of_its_own(tmp_path: Path) -> None:
    one = load_encoder(_written(tmp_path / "one", Heads(_nothing(), _head(1))))
    other = load_encoder(_written(tmp_path / "other", Heads(_nothing(), _head(2))))
    assert len({one.space.fingerprint, other.space.fingerprint}) == 2
    assert not one.space.is_same(CompactEncoder().space)


def test_an_index_is_asked_through_a_head_for_texts_with_nothing_encoded_again(
    photo_index: Path, tmp_path: Path
) -> None:
    shutil.copytree(photo_index, tmp_path / "index")
    name = _written(tmp_path / "own", Heads(_head(1)))
    with SearchEngine.open(tmp_path / "index") as engine:
        before = engine.search(TEXTS[0], k=1, rerank="off")[0]
        report = upgrade_index(tmp_path / "index", model=name)
        assert (report.encoded, report.moved, report.model) == (0, True, name)
        # One that has the index open goes over with its next question.
        after = engine.search(TEXTS[0], k=18, rerank="off")
        assert isinstance(engine.encoder, HeadedEncoder)
    mine = next(hit for hit in after if hit.path == before.path)
    assert abs(mine.similarity - before.similarity) > 1e-4
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.search(TEXTS[0], k=18, rerank="off")[0].similarity == pytest.approx(
            after[0].similarity, abs=1e-6
        )


def test_the_built_in_reranker_looks_again_behind_heads(tmp_path: Path) -> None:
    encoder = load_encoder(_written(tmp_path / "own", Heads(_head(1), _head(2))))
    reranker = load_reranker("auto", encoder)
    assert reranker is not None
    assert reranker.name == "compact"


def test_a_foreign_question_goes_through_the_head_as_well(tmp_path: Path) -> None:
    from retrieval.search.encode import QueryEncoder

    question = "ein Hund läuft über die Wiese und bellt"
    head = _head(1)
    encoder = load_encoder(_written(tmp_path / "own", Heads(head)))
    plain = QueryEncoder().words(question, CompactEncoder())
    assert plain.in_other_language
    headed = QueryEncoder().words(question, encoder)
    assert headed.vectors == pytest.approx(head.apply(plain.vectors), abs=1e-5)


def test_heads_for_another_version_of_the_model_are_refused(tmp_path: Path) -> None:
    name = _written(tmp_path / "own", Heads(_head(1)), fingerprint="before")
    with pytest.raises(UnknownModelError, match="train it again"):
        _ = load_encoder(name).space


def test_damaged_heads_are_told_in_one_sentence(tmp_path: Path) -> None:
    name = _written(tmp_path / "own", Heads(_head(1)))
    (tmp_path / "own" / "heads.npz").write_bytes(b"PK damaged")
    with pytest.raises(UnknownModelError, match="cannot be read"):
        load_encoder(name)
