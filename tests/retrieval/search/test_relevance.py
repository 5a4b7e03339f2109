"""How likely an answer fits: a probability that depends on the question and the picture alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.errors import RelevanceUnknownError
from retrieval.search.engine import SearchEngine
from retrieval.search.relevance import (
    FEATURES,
    Calibration,
    RelevanceModel,
    coded_cohort,
    decoded_cohort,
)
from tests.support.program import mmsearch


@pytest.fixture(scope="module")
def engine(photo_index: Path) -> SearchEngine:
    return SearchEngine.open(photo_index)


def test_what_fits_is_likelier_than_what_does_not(engine: SearchEngine) -> None:
    cat, *others = engine.search("a cat", 5)
    assert cat.path.stem == "chelsea" and cat.fits
    assert cat.relevance is not None and 0.3 < cat.relevance <= 1.0
    assert all(hit.relevance is not None and hit.relevance < cat.relevance for hit in others)
    unanswerable = engine.search("two women playing tennis", 5)
    assert not any(hit.fits for hit in unanswerable)


@pytest.mark.parametrize("rerank", ["auto", "off"])
def test_only_what_fits_is_kept_where_that_is_wanted(engine: SearchEngine, rerank: str) -> None:
    everything = engine.search("a cat", 18, rerank=rerank)
    kept = engine.search("a cat", 18, rerank=rerank, relevant=True)
    assert [hit.item_id for hit in kept] == [hit.item_id for hit in everything if hit.fits]
    assert 0 < len(kept) < len(everything)
    assert engine.search("two women playing tennis", rerank=rerank, relevant=True) == []


def test_a_filter_and_company_change_no_judgement(engine: SearchEngine) -> None:
    (alone,) = engine.search("a cat", 18, filter="name:chelsea*", rerank="off")
    among = {hit.item_id: hit for hit in engine.search("a cat", 18, rerank="off")}
    assert alone.relevance == among[alone.item_id].relevance
    many = engine.search_many(["a motorcycle", "a cat"], 3)
    assert [hit.relevance for hit in many[1]] == [
        hit.relevance for hit in engine.search("a cat", 3)
    ]


def test_a_picture_that_is_asked_with_is_not_judged(engine: SearchEngine, photos: Path) -> None:
    hits = engine.search(photos / "chelsea.png", 2)
    assert [(hit.relevance, hit.fits) for hit in hits] == [(None, None)] * 2
    with pytest.raises(RelevanceUnknownError):
        engine.search(photos / "chelsea.png", relevant=True)


def test_a_calibration_of_another_model_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(COMPACT_DIR, folder)
    fingerprint = CompactEncoder(folder).space.fingerprint
    assert RelevanceModel.beside(folder, fingerprint) is not None
    assert RelevanceModel.beside(folder, "another") is None
    (folder / "relevance.json").write_text("{}")
    assert RelevanceModel.beside(folder, fingerprint) is None


def test_a_model_comes_back_from_its_folder_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cohort = decoded_cohort(coded_cohort(rng.normal(size=(40, 8)).astype(np.float32)))
    calibration = Calibration(
        np.arange(len(FEATURES), dtype=np.float64), -1.0, np.array([[0.0, 1.0], [0.1, 0.9]]), 0.4
    )
    RelevanceModel(cohort, {"first": calibration}).write(tmp_path, "print", {"questions": 3})
    again = RelevanceModel.beside(tmp_path, "print")
    assert again is not None
    np.testing.assert_allclose(again.cohort, cohort, atol=0.02)
    assert json.loads((tmp_path / "relevance.json").read_text())["measured"] == {"questions": 3}


@given(
    weights=st.lists(st.floats(-50, 50), min_size=len(FEATURES), max_size=len(FEATURES)),
    given_=st.lists(st.floats(-5, 5), min_size=len(FEATURES), max_size=len(FEATURES)),
    steps=st.lists(st.floats(0, 1), min_size=2, max_size=6).map(sorted),
    threshold=st.floats(0, 1),
)
def test_every_judgement_is_a_probability(
    weights: list[float], given_: list[float], steps: list[float], threshold: float
) -> None:
    at = np.linspace(0.0, 1.0, len(steps))
    calibration = Calibration(np.array(weights), 0.0, np.array([at, steps]), threshold)
    judged = calibration.judge(np.array([given_]))
    assert 0.0 <= judged.probability[0] <= 1.0
    assert judged.fits[0] == (judged.probability[0] >= threshold)


def test_a_question_that_nothing_fits_ends_with_1(photo_index: Path) -> None:
    asked = ("query", "two women playing tennis")
    plain = mmsearch(*asked, "--json", index_dir=photo_index)
    assert plain.returncode == 0
    assert all(answer["fits"] is False for answer in json.loads(plain.stdout))
    kept = mmsearch(*asked, "--relevant", index_dir=photo_index)
    assert (kept.returncode, kept.stdout, kept.stderr) == (1, "", "Nothing fits well.\n")
    found = mmsearch("query", "a cat", "--relevant", index_dir=photo_index)
    assert found.returncode == 0 and found.stdout.count("\n") == 1
    none = mmsearch("query", "a cat", "name:nowhere", index_dir=photo_index)
    assert (none.returncode, none.stderr) == (1, "No picture was found.\n")
