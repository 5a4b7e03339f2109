"""Any open_clip model can be the encoder, and gives the vectors that open_clip gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from retrieval.encoders.open_clip import OpenClipEncoder
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from samples.photos import copy_photos
from tests.support.small_open_clip import save_model

NAME = "mmsearch-test-tiny"
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 32, "head_width": 32},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}
TEXTS = ["a dog on a beach", "Café — naïve 🐕", "", "x " * 200]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as open_clip saves a model, with the same weights as a checkpoint beside it."""
    home = tmp_path_factory.mktemp("open_clip")
    (home / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(home)
    torch.manual_seed(0)
    model = open_clip.create_model(NAME)
    folder = home / "saved"
    folder.mkdir()
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    torch.save(model.state_dict(), home / "checkpoint.pt")
    preprocess = open_clip.get_model_preprocess_cfg(model)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess})
    )
    return home


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return copy_photos(tmp_path_factory.mktemp("photos"))[:8]


def test_a_saved_folder_gives_open_clip_s_own_vectors(saved: Path, photos: list[Path]) -> None:
    encoder = OpenClipEncoder(str(saved / "saved"))
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{saved / 'saved'}")
    model.eval()
    opened = [read_image(photo) for photo in photos]
    pixels = np.stack([to_pixels(image, encoder.preprocessing) for image in opened])
    found = encoder.encode_images(pixels).vectors
    with torch.inference_mode():
        inputs = torch.stack([preprocess(image) for image in opened])
        expected = model.encode_image(inputs, normalize=True).numpy()
        tokens = open_clip.get_tokenizer(NAME)(TEXTS)
        expected_texts = model.encode_text(tokens, normalize=True).numpy()
    assert np.allclose(found, expected, atol=1e-4)
    assert np.allclose(encoder.encode_texts(TEXTS).vectors, expected_texts, atol=1e-4)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_pixels_are_prepared_as_open_clip_prepares_them(
    resize_mode: str, interpolation: str, photos: list[Path], tmp_path: Path
) -> None:
    settings = {
        "resize_mode": resize_mode,
        "interpolation": interpolation,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.25),
        "fill_color": 40,
    }
    name = f"mmsearch-test-{resize_mode}-{interpolation}"
    folder = save_model(tmp_path / "model", CONFIG, name, preprocess=settings)
    preprocessing = OpenClipEncoder(str(folder)).preprocessing
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    config = open_clip.get_model_preprocess_cfg(model)
    assert {key: config[key] for key in ("resize_mode", "interpolation")} == {
        "resize_mode": resize_mode,
        "interpolation": interpolation,
    }
    mean, deviation = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    for photo in photos:
        image = read_image(photo)
        theirs = (preprocess(image) * deviation + mean).permute(1, 2, 0).numpy()
        ours = to_pixels(image, preprocessing) / 255.0
        assert np.abs(ours - theirs).max() <= 1.0 / 255.0 + 1e-6


def test_a_checkpoint_on_disk_is_the_same_model(saved: Path) -> None:
    from_file = OpenClipEncoder(f"{NAME}/{saved / 'checkpoint.pt'}")
    from_folder = OpenClipEncoder(str(saved / "saved"))
    assert from_file.space.dim == 32
    assert np.allclose(
        from_file.encode_texts(TEXTS).vectors, from_folder.encode_texts(TEXTS).vectors, atol=1e-6
    )


def test_other_weights_have_another_fingerprint(saved: Path, tmp_path: Path) -> None:
    first = load_encoder(f"{NAME}/{saved / 'checkpoint.pt'}").space.fingerprint
    again = load_encoder(f"{NAME}/{saved / 'checkpoint.pt'}").space.fingerprint
    torch.manual_seed(1)
    torch.save(open_clip.create_model(NAME).state_dict(), tmp_path / "other.pt")
    other = load_encoder(f"{NAME}/{tmp_path / 'other.pt'}").space.fingerprint
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ViT-B-33/openai", "ViT-B-32"),
        ("ViT-B-32/laion2b_s34b_b79", "laion2b_s34b_b79k"),
        ("ViT-B-32", "NAME/TAG"),
    ],
)
def test_a_name_that_is_slightly_wrong_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError, match=hint):
        _ = load_encoder(name).space


def test_weights_that_cannot_be_had_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network\nand a second line")

    monkeypatch.setattr(open_clip, "create_model", no_network)
    with pytest.raises(UnknownModelError, match=r"no network\).*NAME/FILE") as raised:
        _ = load_encoder("ViT-B-32/laion2b_s34b_b79k").space
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UnknownModelError, match=r"open_clip_config\.json"):
        _ = load_encoder(str(tmp_path)).space


def test_a_model_that_cannot_be_downloaded_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def no_network(*arguments: object, **_options: object) -> None:
        asked.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "create_model", no_network)
    encoder = OpenClipEncoder("ViT-B-32/laion2b_s34b_b79k")
    for _ in range(3):
        with pytest.raises(UnknownModelError, match="no network"):
            _ = encoder.preprocessing
    assert len(asked) == 1
