"""An open_clip model runs from an ONNX twin: made once, agreeing with torch, without torch."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer import index_folders
from retrieval import SearchEngine
from retrieval.encoders.base import Pixels, Vectors
from retrieval.encoders.onnx import encoder as onnx_encoder
from retrieval.encoders.onnx.encoder import OnnxEncoder
from retrieval.encoders.onnx.export import export
from retrieval.encoders.onnx.model_store import GRAPH_FILE, ExportedModels
from retrieval.encoders.open_clip import OpenClipEncoder
from retrieval.encoders.precision import Precision
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from tests.support.small_open_clip import COCA, RESNET, VIT, save_model

TEXTS = ["a dog on a beach", "Café — naïve 🐕", "", "x " * 200, "!!! wow!"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    return {
        "vit": save_model(home / "vit", VIT, "mmsearch-twin-vit"),
        "resnet": save_model(home / "resnet", RESNET, "mmsearch-twin-resnet"),
        "coca": save_model(home / "coca", COCA, "coca_mmsearch-twin"),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ExportedModels:
    """Shared, so that a model is exported once for all tests that only read it."""
    return ExportedModels(tmp_path_factory.mktemp("twins"))


@pytest.fixture(scope="module")
def pixels(models: dict[str, Path], photos: Path) -> Pixels:
    preprocessing = OpenClipEncoder(str(models["vit"])).preprocessing
    return np.stack(
        [to_pixels(read_image(photo), preprocessing) for photo in sorted(photos.iterdir())]
    )


def mean_cosine(one: Vectors, other: Vectors) -> float:
    return float((one * other).sum(axis=1).mean())


@pytest.mark.parametrize("kind", ["vit", "resnet", "coca"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_twin_gives_the_vectors_that_torch_gives(
    kind: str,
    precision: Precision,
    models: dict[str, Path],
    store: ExportedModels,
    pixels: Pixels,
) -> None:
    by_torch = OpenClipEncoder(str(models[kind]))
    twin = OnnxEncoder(str(models[kind]), precision, store)
    found, wanted = twin.encode_images(pixels).vectors, by_torch.encode_images(pixels).vectors
    texts, wanted_texts = twin.encode_texts(TEXTS).vectors, by_torch.encode_texts(TEXTS).vectors
    assert "torch" not in twin.arithmetic.values()
    assert found.dtype == texts.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    if precision == "fp32":
        assert np.abs(found - wanted).max() < 1e-4
        assert np.abs(texts - wanted_texts).max() < 1e-4
    else:
        assert mean_cosine(found, wanted) >= 0.999
        assert mean_cosine(texts, wanted_texts) >= 0.998  # Checked on sentences, not on these.
    assert twin.space == by_torch.space


def test_one_text_alone_has_the_vector_that_it_has_among_others(
    models: dict[str, Path], store: ExportedModels
) -> None:
    encoder = OnnxEncoder(str(models["vit"]), "fp32", store)
    together = encoder.encode_texts(TEXTS).vectors
    alone = np.concatenate([encoder.encode_texts([text]).vectors for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    assert encoder.encode_texts([]).vectors.shape == (0, encoder.space.dim)


def test_an_index_of_one_precision_answers_in_the_other_without_torch(
    models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    model = str(models["vit"])
    environment = os.environ | {"MMSEARCH_CACHE_DIR": str(tmp_path / "cache")}
    script = (
        "import json, sys\n"
        "from indexer import index_folders\n"
        "from retrieval import SearchEngine, load_encoder\n"
        "photos, index, model, precision = sys.argv[1:]\n"
        "done = index_folders([photos], index, model=model, precision=precision)\n"
        "encoder = load_encoder(model, precision)\n"
        "with SearchEngine.open(index, encoder=encoder) as engine:\n"
        "    hits = engine.search('a cat', k=3, rerank='off')\n"
        "    like = engine.search(hits[0].path, k=1)\n"
        "heavy = [name for name in ('torch', 'open_clip', 'onnx', 'ftfy') if name in sys.modules]\n"
        "print(json.dumps({'encoded': done.encoded, 'heavy': heavy,\n"
        "    'arithmetic': encoder.arithmetic, 'hits': [str(hit.path) for hit in hits],\n"
        "    'like': str(like[0].path)}))\n"
    )
    copy = tmp_path / "photos"
    copy.mkdir()
    for photo in sorted(photos.iterdir())[:12]:
        (copy / photo.name).symlink_to(photo)

    def run(precision: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-c", script, copy, tmp_path / "index", model, precision],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found

    first = run("int8")
    assert first["encoded"] == 12
    assert first["arithmetic"] == {"pictures": "int8", "texts": "int8"}
    again = run("int8")
    assert again["encoded"] == 0
    assert again["heavy"] == []
    assert again["hits"] == first["hits"]
    assert again["like"] == again["hits"][0]  # type: ignore[index]
    float_hits = run("fp32")
    assert float_hits["arithmetic"]["texts"] == "fp32"  # type: ignore[index]
    assert float_hits["hits"] == first["hits"]


def test_two_processes_that_export_at_once_do_not_harm_each_other(
    models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    script = (
        "import sys, numpy as np\n"
        "from retrieval import load_encoder\n"
        "pixels = np.load(sys.argv[2])\n"
        "print(load_encoder(sys.argv[1], 'fp32').encode_images(pixels).vectors.sum())\n"
    )
    some = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    np.save(tmp_path / "pixels.npy", some)
    environment = os.environ | {"MMSEARCH_CACHE_DIR": str(tmp_path / "cache")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, models["vit"], tmp_path / "pixels.npy"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0] == said[1]
    left = sorted(file.name for file in (tmp_path / "cache").rglob("*") if file.is_dir())
    assert [name for name in left if name.startswith((".making", "tower"))] == []
    assert "pictures-fp32" in left
    assert "texts-fp32" in left


def test_weights_that_changed_on_disk_are_not_taken_for_the_old_ones(
    tmp_path: Path, pixels: Pixels
) -> None:
    store = ExportedModels(tmp_path / "twins")
    folder = save_model(tmp_path / "model", VIT, "mmsearch-twin-changing")
    before = OnnxEncoder(str(folder), "fp32", store).space
    other = save_model(tmp_path / "other", VIT, "mmsearch-twin-changed", seed=1)
    (other / "open_clip_model.safetensors").replace(folder / "open_clip_model.safetensors")
    after = OnnxEncoder(str(folder), "fp32", store)
    assert after.space.fingerprint != before.fingerprint
    wanted = OpenClipEncoder(str(folder)).encode_texts(TEXTS).vectors
    assert np.allclose(after.encode_texts(TEXTS).vectors, wanted, atol=1e-4)


@pytest.mark.parametrize("harm", ["cut off", "overwritten"])
def test_a_damaged_twin_is_made_again(harm: str, models: dict[str, Path], tmp_path: Path) -> None:
    store = ExportedModels(tmp_path)
    encoder = OnnxEncoder(str(models["vit"]), "fp32", store)
    wanted = encoder.encode_texts(TEXTS).vectors
    (graph,) = tmp_path.glob(f"*/texts-fp32/{GRAPH_FILE}")
    content = graph.read_bytes()
    graph.write_bytes(content[:1000] if harm == "cut off" else bytes(len(content)))
    again = OnnxEncoder(str(models["vit"]), "fp32", store)
    assert np.allclose(again.encode_texts(TEXTS).vectors, wanted, atol=1e-6)
    assert again.arithmetic == {"texts": "fp32"}
    assert graph.stat().st_size == len(content)


def test_int8_that_strays_from_torch_becomes_fp32_with_one_line(
    models: dict[str, Path],
    pixels: Pixels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(export.LEAST_COSINE, "int8", 1.1)
    encoder = OnnxEncoder(str(models["vit"]), "int8", ExportedModels(tmp_path))
    with caplog.at_level(logging.WARNING):
        found = encoder.encode_images(pixels).vectors
    lines = [record.getMessage() for record in caplog.records if "int8" in record.getMessage()]
    assert [line.partition(" of ")[0] for line in lines] == [
        "In int8 the pictures",
        "In int8 the texts",
    ]
    assert encoder.arithmetic["pictures"] == "fp32"
    wanted = OpenClipEncoder(str(models["vit"])).encode_images(pixels).vectors
    assert np.abs(found - wanted).max() < 1e-4
    # The outcome is kept: what was found out once is not found out again.
    caplog.clear()
    again = OnnxEncoder(str(models["vit"]), "int8", ExportedModels(tmp_path))
    assert np.array_equal(again.encode_images(pixels).vectors, found)
    assert not caplog.records


def test_a_model_that_cannot_be_exported_runs_in_torch_with_one_line(
    models: dict[str, Path],
    pixels: Pixels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no operator for this\nand a page of graph")

    monkeypatch.setattr(export, "_write_traced", fails)
    monkeypatch.setattr(export, "_write_exported", fails)
    wanted = OpenClipEncoder(str(models["vit"])).encode_images(pixels).vectors
    for is_first in (True, False):
        caplog.clear()
        encoder = OnnxEncoder(str(models["vit"]), "int8", ExportedModels(tmp_path))
        assert np.allclose(encoder.encode_images(pixels).vectors, wanted, atol=1e-6)
        assert len(encoder.encode_texts(TEXTS).vectors) == len(TEXTS)
        assert encoder.arithmetic == {"pictures": "torch", "texts": "torch"}
        lines = [record.getMessage() for record in caplog.records]
        said = [line for line in lines if "runs in torch" in line]
        assert len(said) == 1
        assert "no operator for this" in said[0]
        assert "\n" not in said[0]
        assert any("Preparing" in line for line in lines) == is_first


def test_without_the_exporter_a_line_says_how_to_get_it(
    models: dict[str, Path],
    pixels: Pixels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(onnx_encoder, "find_spec", lambda _name: None)
    encoder = OnnxEncoder(str(models["vit"]), "auto", ExportedModels(tmp_path))
    wanted = OpenClipEncoder(str(models["vit"])).encode_images(pixels).vectors
    assert np.allclose(encoder.encode_images(pixels).vectors, wanted, atol=1e-6)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "pip install 'mmsearch[export]'" in line


def test_a_cache_that_cannot_be_written_costs_the_twin_and_not_the_run(
    models: dict[str, Path], pixels: Pixels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "twins"
    in_the_way.write_text("a file where the folder should be")
    encoder = OnnxEncoder(str(models["vit"]), "fp32", ExportedModels(in_the_way))
    wanted = OpenClipEncoder(str(models["vit"])).encode_images(pixels).vectors
    assert np.allclose(encoder.encode_images(pixels).vectors, wanted, atol=1e-6)
    assert "cannot be stored" in caplog.text


def test_a_few_pictures_are_no_measure_of_a_twin(
    models: dict[str, Path], pixels: Pixels, tmp_path: Path
) -> None:
    encoder = OnnxEncoder(str(models["vit"]), "int8", ExportedModels(tmp_path))
    few = encoder.encode_images(pixels[:3]).vectors
    wanted = OpenClipEncoder(str(models["vit"])).encode_images(pixels[:3]).vectors
    assert np.allclose(few, wanted, atol=1e-6)
    assert not list(tmp_path.glob("*/pictures-*"))


def test_questions_take_the_twin_of_the_other_precision_where_there_is_one(
    models: dict[str, Path], store: ExportedModels, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    OnnxEncoder(str(models["vit"]), "fp32", store).encode_texts(TEXTS)
    monkeypatch.setattr(onnx_encoder, "wanted_arithmetic", lambda _precision: "int8")
    monkeypatch.setattr(store, "find", _without_int8(store))
    encoder = OnnxEncoder(str(models["vit"]), "auto", store)
    encoder.encode_texts(TEXTS)
    assert encoder.arithmetic == {"texts": "fp32"}


def _without_int8(store: ExportedModels):  # type: ignore[no-untyped-def]
    find = store.find

    def found(fingerprint, tower, arithmetic):  # type: ignore[no-untyped-def]
        return None if arithmetic == "int8" else find(fingerprint, tower, arithmetic)

    return found


def test_the_default_precision_suits_the_processor(
    models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    index_folders([photos], tmp_path / "index", model=str(models["vit"]))
    with SearchEngine.open(tmp_path / "index") as engine:
        assert isinstance(engine.encoder, OnnxEncoder)
        hits = engine.search("a cat", k=2)
        assert len(hits) == 2
        assert engine.encoder.arithmetic["texts"] in ("int8", "fp32")


def test_a_precision_that_there_is_none_of_is_an_error_that_lists_them() -> None:
    with pytest.raises(UnknownModelError, match="auto, fp32, int8"):
        load_encoder("compact", "fp64")
    with pytest.raises(UnknownModelError, match="int8 alone"):
        load_encoder("compact", "fp32")
