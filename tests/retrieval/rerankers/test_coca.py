"""CoCa as a reranker, on a small model with random weights, against open_clip's own forward."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from retrieval.encoders.open_clip import LoadedOpenClip
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from retrieval.rerankers.base import Reranker
from retrieval.rerankers.coca import CocaReranker
from tests.support.small_rerankers import candidates, question

TEXTS = ["a cat", "an astronaut in an orange suit in front of a flag", "!"]


@pytest.fixture(scope="module")
def model_name(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("coca")
    text = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    config = {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16,
            "attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 6,
            "output_tokens": True,
        },
        "text_cfg": {**text, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**text, "attn_pooler_heads": 2},
        "custom_text": True,
    }  # fmt: skip
    (folder / "coca_small.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    model = open_clip.create_model("coca_small")
    with torch.no_grad():
        # Weights as they are drawn make all logits alike; larger ones tell pictures apart.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    torch.save(model.state_dict(), folder / "small.pt")
    return f"coca_small/{folder / 'small.pt'}"


@pytest.fixture(scope="module")
def paths(photos: Path) -> list[Path]:
    return sorted(photos.iterdir())


@pytest.fixture(scope="module")
def reranker(model_name: str) -> Iterator[CocaReranker]:
    yield CocaReranker(model_name)


@pytest.mark.parametrize("text", TEXTS)
def test_scores_are_the_mean_log_probabilities_that_open_clips_forward_gives(
    reranker: CocaReranker, model_name: str, paths: list[Path], text: str
) -> None:
    own = LoadedOpenClip(model_name)
    pixels = np.stack([to_pixels(read_image(p, 32), own.preprocessing) for p in paths])
    pictures = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0 - own.mean) / own.deviation
    tokens = own.tokenizer([text]).expand(len(paths), -1)
    with torch.inference_mode():
        out = own.model(pictures, tokens)
        loss = torch.nn.functional.cross_entropy(
            out["logits"].permute(0, 2, 1), out["labels"], reduction="none"
        )
    # The question's tokens and the end mark; what follows is padding.
    length = len(own.tokenizer.encode(text)) + 1
    expected = -loss[:, :length].mean(dim=1).numpy()
    scores = reranker.rerank(question(text), candidates(paths))
    assert scores.dtype == np.float32
    assert scores == pytest.approx(expected, abs=1e-4)
    assert np.ptp(scores) > 1e-2


def test_a_question_longer_than_the_context_is_cut(
    reranker: CocaReranker, paths: list[Path]
) -> None:
    scores = reranker.rerank(question("a cat " * 40), candidates(paths[:2]))
    assert np.isfinite(scores).all()


def test_it_is_a_reranker_that_opens_the_files(reranker: CocaReranker) -> None:
    assert isinstance(reranker, Reranker)
    assert reranker.needs_images
    assert not reranker.needs_tokens


def test_a_picture_that_cannot_be_read_has_no_score(
    reranker: CocaReranker, paths: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    asked = [paths[0], tmp_path / "torn.jpg", tmp_path / "gone.jpg", paths[1]]
    scores = reranker.rerank(question("a cat"), candidates(asked))
    assert np.isnan(scores).tolist() == [False, True, True, False]


def test_a_file_that_changed_is_looked_at_again(
    reranker: CocaReranker, paths: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    shutil.copy(paths[0], path)
    before = reranker.rerank(question("a cat"), candidates([path]))
    shutil.copy(paths[1], path)
    os.utime(path, ns=(1, 1))
    after = reranker.rerank(question("a cat"), candidates([path]))
    assert after == pytest.approx(reranker.rerank(question("a cat"), candidates([paths[1]])))
    assert after != pytest.approx(before)


def test_a_question_without_words_has_no_scores(reranker: CocaReranker, paths: list[Path]) -> None:
    assert np.isnan(reranker.rerank(question("  "), candidates(paths[:2]))).all()
    assert reranker.rerank(question("a cat"), []).shape == (0,)


def test_a_model_that_is_no_coca_is_refused(tmp_path: Path) -> None:
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8,
                       "head_width": 16},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2,
                     "layers": 1},
    }  # fmt: skip
    (tmp_path / "clip_small.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    torch.save(open_clip.create_model("clip_small").state_dict(), tmp_path / "small.pt")
    reranker = CocaReranker(f"clip_small/{tmp_path / 'small.pt'}")
    with pytest.raises(UnknownModelError, match="no CoCa model"):
        reranker.rerank(question("a cat"), candidates([tmp_path / "x.jpg"]))
