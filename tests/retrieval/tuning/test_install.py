"""From captions to a model that is kept only where it is better, on pieces of real photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.base import Encoder
from retrieval.encoders.registry import load_encoder
from retrieval.evaluation.captions import read_captions
from retrieval.evaluation.encoded_set import encode_set
from retrieval.tuning.data import EncoderTrainingError, default_settings
from retrieval.tuning.install import TuningReport, tune_encoder
from retrieval.tuning.towers import TowersTraining, saved_name, trainable_encoder
from samples.own_words import write_pieces
from samples.photos import CAPTIONS
from tests.support.small_open_clip import VIT, save_model
from tests.support.small_vit_bert import save_towers


@pytest.fixture(scope="module")
def captions(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pieces(photos, tmp_path_factory.mktemp("pieces"))


@pytest.fixture(scope="module")
def towers(captions: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    texts = [text for image in read_captions(captions) for text in image.captions]
    return save_towers(tmp_path_factory.mktemp("towers"), texts)


def _tuned(
    model: str, captions: Path, output: Path, what: str, epochs: int, rate: float
) -> TuningReport:
    return tune_encoder(
        model,
        read_captions(captions),
        captions.parent / "images",
        output,
        default_settings(what, epochs=epochs, learning_rate=rate),
    )


def _texts(encoder: Encoder) -> np.ndarray:
    return encoder.encode_texts(["a kadaxo", "our moseo again"]).vectors


def test_heads_that_find_more_are_kept_and_those_of_a_picture_tower_make_another_space(
    captions: Path, tmp_path: Path
) -> None:
    report = _tuned("compact", captions, tmp_path / "own", "heads", 20, 3e-4)
    gain = report.comparison.text_to_image.gain_at_1
    assert report.installed and gain is not None and gain.low > 0
    assert not report.same_space
    assert sorted(file.name for file in tmp_path.iterdir()) == ["own"]
    encoder = load_encoder(str(tmp_path / "own"))
    assert not encoder.space.is_same(load_encoder().space)
    assert not np.allclose(_texts(encoder), _texts(load_encoder()), atol=1e-3)


def test_what_is_no_better_is_not_kept(photos: Path, tmp_path: Path) -> None:
    report = tune_encoder(
        "compact", read_captions(CAPTIONS), photos, tmp_path / "own", default_settings("heads")
    )
    assert not report.installed
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(captions: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(EncoderTrainingError, match="there already"):
        _tuned("compact", captions, tmp_path / "own", "heads", 1, 1e-3)


@pytest.mark.parametrize(("what", "rate"), [("all", 5e-4), ("lora", 2e-3)])
def test_a_vit_and_a_bert_learn_and_are_kept_only_if_they_are_better(
    what: str, rate: float, towers: str, captions: Path, tmp_path: Path
) -> None:
    report = tune_encoder(
        towers,
        read_captions(captions),
        captions.parent / "images",
        tmp_path / "own",
        default_settings(what, epochs=10, learning_rate=rate),
    )
    losses = [epoch.loss for epoch in report.epochs[1:]]
    assert losses[-1] < losses[0]
    assert report.model == f"vit-bert:{tmp_path / 'own'}"
    assert report.installed == report.comparison.is_better == (tmp_path / "own").exists()


@pytest.mark.parametrize("family", ["open_clip", "vit-bert"])
def test_low_rank_updates_leave_an_ordinary_model(
    family: str, towers: str, captions: Path, tmp_path: Path
) -> None:
    name = towers if family == "vit-bert" else str(save_model(tmp_path / "base", VIT, "own-vit"))
    encoder = trainable_encoder(name)
    before = _texts(encoder)
    few = read_captions(captions)[:4]
    images = captions.parent / "images"
    training = TowersTraining(
        encoder, encode_set(encoder, few, images), images, default_settings("lora")
    )
    rows = np.arange(4)
    for parameter in training.network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.01
    loss = (training.image_vectors(rows) * training.text_vectors(2 * rows)).sum()
    loss.backward()
    (tmp_path / "saved").mkdir()
    training.save(tmp_path / "saved")
    again = trainable_encoder(saved_name(encoder, tmp_path / "saved"))
    assert np.abs(_texts(again) - before).max() > 1e-3
    assert _texts(again) == pytest.approx(_texts(encoder), abs=1e-4)


def test_the_built_in_models_weights_cannot_be_trained(captions: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderTrainingError, match="eight bits"):
        _tuned("compact", captions, tmp_path / "own", "all", 1, 1e-3)


def test_what_is_no_better_leaves_no_folder_that_it_made(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    report = tune_encoder(
        "compact",
        read_captions(CAPTIONS),
        photos,
        tmp_path / "mine" / "a" / "b",
        default_settings("heads", epochs=1),
    )
    assert not report.installed
    assert [file.name for file in tmp_path.rglob("*")] == ["mine"]


def test_a_training_that_diverges_leaves_nothing(captions: Path, tmp_path: Path) -> None:
    settings = replace(default_settings("heads", epochs=3), learning_rate=1e30)
    with pytest.raises(EncoderTrainingError, match="diverged"):
        tune_encoder(
            "compact",
            read_captions(captions),
            captions.parent / "images",
            tmp_path / "a" / "own",
            settings,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("cut_off_in", "left"), [("epoch 1", []), ("epoch 3", ["checkpoint.pt"])])
def test_a_training_that_is_cut_off_leaves_what_it_goes_on_from(
    captions: Path, tmp_path: Path, cut_off_in: str, left: list[str]
) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == cut_off_in:
            raise KeyboardInterrupt

    def training(**options: object) -> TuningReport:
        return tune_encoder(
            "compact",
            read_captions(captions),
            captions.parent / "images",
            tmp_path / "own",
            default_settings("heads", epochs=20, learning_rate=3e-4),
            **options,  # type: ignore[arg-type]
        )

    with pytest.raises(KeyboardInterrupt):
        training(progress=progress)
    assert [file.name for file in tmp_path.rglob("*.pt")] == left
    assert bool(list(tmp_path.iterdir())) == bool(left)
    assert training(resume=True).installed
    assert [file.name for file in tmp_path.iterdir()] == ["own"]


def test_an_output_that_cannot_be_made_is_a_sentence(captions: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EncoderTrainingError, match=r"cannot be made .*: choose another output"):
        _tuned("compact", captions, tmp_path / "file" / "own", "heads", 1, 1e-3)
