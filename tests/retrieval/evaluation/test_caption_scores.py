"""Scores of captions, against what is known of them, and the command that measures a captioner."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from retrieval.errors import MmsearchError
from retrieval.evaluation.caption_scores import score_captions, tokenised
from samples.photos import CAPTIONS
from tests.support.program import mmsearch

REFERENCES = [
    ["A dog runs on the beach .", "the brown dog is running along a beach"],
    ["Two children sit on a swing.", "Kids on a swing"],
    ["A man's red bicycle leans against a wall", "a bike by the wall"],
]


def test_captions_are_cut_into_words_in_lower_case() -> None:
    assert tokenised("A man's red-white Hat, 2 cats!") == "a man's red white hat 2 cats"
    assert tokenised(" .,- ") == "nothing"


def test_what_people_said_themselves_scores_highest() -> None:
    own = score_captions([own[0] for own in REFERENCES], REFERENCES, with_meteor=False)
    assert own.bleu == pytest.approx((100, 100, 100, 100), abs=0.01)
    assert own.rouge_l == pytest.approx(100)
    other = score_captions(["a dog on a beach"] * 3, REFERENCES, with_meteor=False)
    assert other.bleu[0] < 60 and other.bleu[3] < other.bleu[0]
    assert other.cider < own.cider and other.rouge_l < own.rouge_l
    assert own.meteor is None


def test_bleu_is_the_share_of_words_that_people_used() -> None:
    # Six words, of which "the" is there once; the closest reference has six words.
    found = score_captions(
        ["the the dog runs on mars"], [["the dog runs on sand today"]], with_meteor=False
    )
    assert found.bleu[0] == pytest.approx(100 * 4 / 6, abs=0.01)


@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR needs Java")
def test_meteor_is_there_where_java_is() -> None:
    found = score_captions([own[0] for own in REFERENCES], REFERENCES)
    assert found.meteor is not None and 0 < found.meteor <= 100


def test_nothing_to_compare_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="one caption"):
        score_captions(["a"], [])
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MmsearchError, match="pycocoevalcap"):
        score_captions(["a dog"], [["a dog"]])


def test_the_command_measures_the_built_in_captioner(photos: Path, tmp_path: Path) -> None:
    asked = ("eval", CAPTIONS, "--images", photos, "--task", "caption")
    told = mmsearch(*asked, "--json", index_dir=tmp_path)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["captioner"] == "compact" and found["left_out"] == 0
    assert len(found["captions"]) == found["pictures"]
    assert found["scores"]["bleu"][0] > 10
    table = mmsearch(*asked, index_dir=tmp_path).stdout
    assert "BLEU-4" in table and "CIDEr" in table
