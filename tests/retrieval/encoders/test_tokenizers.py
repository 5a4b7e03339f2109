"""Texts become the ids that open_clip's tokenizers give them, without open_clip."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from retrieval.encoders.onnx.export.errors import ExportError
from retrieval.encoders.onnx.export.tokenizer import write_tokenizer
from retrieval.encoders.tokenizers import TextTokenizer, load_tokenizer
from samples.photos import read_captions

CLEANS = ("lower", "canonicalize", "whitespace")
CAPTIONS = [caption for captions in read_captions().values() for caption in captions]
# Pieces that the steps treat on their own: entities, mojibake, contractions, marks, odd spaces.
ODD = st.sampled_from(
    [
        *("&amp;amp;", "&lt;", "â€™", "Ã©", "'S", "'ll", "’s", "<end_of_text>", "<START_of_text>"),
        *("_", "ﬁ", "İ", "ſ", "ß", "½", "١", "\u0301", "🐕"),
        *("\x85", "\u2028", "\ufeff", "\x00", "\x1b[31m"),
    ]
)
TEXTS = st.lists(st.one_of(st.text(max_size=12), ODD), max_size=8).map("".join)


@pytest.fixture(scope="module", params=CLEANS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TextTokenizer, SimpleTokenizer]:
    """Ours and open_clip's."""
    return _pair(request.param, tmp_path_factory.mktemp("tokenizer"))


def _pair(clean: str, folder: Path) -> tuple[TextTokenizer, SimpleTokenizer]:
    theirs = SimpleTokenizer(clean=clean)
    write_tokenizer(theirs, folder)
    return load_tokenizer(folder), theirs


def test_captions_get_open_clip_s_ids(pair: tuple[TextTokenizer, SimpleTokenizer]) -> None:
    ours, theirs = pair
    assert len(CAPTIONS) >= 25
    assert np.array_equal(ours(CAPTIONS), theirs(CAPTIONS).numpy())


@given(TEXTS)
def test_odd_texts_get_open_clip_s_ids(
    pair: tuple[TextTokenizer, SimpleTokenizer], text: str
) -> None:
    ours, theirs = pair
    assert np.array_equal(ours([text]), theirs([text]).numpy())


@pytest.mark.skipif("MMSEARCH_CAPTIONS" not in os.environ, reason="no large set of captions given")
def test_every_caption_of_a_large_set_gets_open_clip_s_ids(
    pair: tuple[TextTokenizer, SimpleTokenizer],
) -> None:
    """MMSEARCH_CAPTIONS names a table with a column `caption`, separated by tabs."""
    ours, theirs = pair
    with Path(os.environ["MMSEARCH_CAPTIONS"]).open(encoding="utf-8", newline="") as file:
        captions = [row["caption"] for row in csv.DictReader(file, delimiter="\t")]
    assert len(captions) >= 1000
    assert np.array_equal(ours(captions), theirs(captions).numpy())


def test_plain_english_needs_neither_ftfy_nor_regex(tmp_path: Path) -> None:
    write_tokenizer(SimpleTokenizer(), tmp_path)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from retrieval.encoders.tokenizers import load_tokenizer\n"
        "load_tokenizer(Path(sys.argv[1]))(['a dog on a beach, 2 of them'])\n"
        "print([name for name in ('ftfy', 'regex', 'torch', 'open_clip', 'transformers')\n"
        "    if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_marks_of_a_model_s_own_are_kept(tmp_path: Path) -> None:
    theirs = SimpleTokenizer(additional_special_tokens=["<here>"], context_length=12)
    write_tokenizer(theirs, tmp_path)
    texts = ["a dog <here> and there", "<here>", "x " * 40]
    assert np.array_equal(load_tokenizer(tmp_path)(texts), theirs(texts).numpy())


def test_a_tokenizer_that_leaves_out_words_at_random_is_not_taken_over(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="at random"):
        write_tokenizer(SimpleTokenizer(reduction_mask="random"), tmp_path)


@cache
def _trained() -> Tokenizer:
    """A byte-pair tokenizer learned from the captions, with marks around each text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=marks
    )
    return tokenizer


@pytest.mark.parametrize(
    "settings",
    [
        {"clean": "whitespace"},
        {"clean": "canonicalize", "strip_sep_token": True},
        {"clean": "lower", "context_length": 9},
    ],
)
def test_a_tokenizer_of_hugging_face_gives_the_same_ids_from_its_json(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    _trained().save(str(source / "tokenizer.json"))
    (source / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "sep_token": "</s>",
                "pad_token": "<pad>",
                "unk_token": "<unk>",
            }
        )
    )
    theirs = HFTokenizer(str(source), **({"context_length": 32} | settings))
    write_tokenizer(theirs, target)
    texts = [*CAPTIONS, "Café &amp; naïve 🐕", "", "snake_case, and more " * 20]
    assert np.array_equal(load_tokenizer(target)(texts), theirs(texts).numpy())
