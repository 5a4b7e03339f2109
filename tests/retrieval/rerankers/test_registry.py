"""Which reranker a name stands for, and what `auto` takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.encoders.open_clip import OpenClipEncoder
from retrieval.errors import UnknownModelError
from retrieval.rerankers.compact import CompactReranker
from retrieval.rerankers.registry import list_rerankers, load_reranker
from tests.support.small_rerankers import write_reranker


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> CompactEncoder:
    """The compact model without a reranker of its own."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    shutil.copytree(COMPACT_DIR, folder, ignore=shutil.ignore_patterns("reranker.*"))
    return CompactEncoder(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, bare: CompactEncoder) -> Path:
    """An index folder with a trained reranker in it."""
    index_dir = tmp_path_factory.mktemp("index")
    write_reranker(index_dir / "reranker", bare, weight=0.25)
    return index_dir


@pytest.fixture(scope="module")
def equipped(
    tmp_path_factory: pytest.TempPathFactory, bare: CompactEncoder, trained: Path
) -> CompactEncoder:
    """The compact model with a reranker beside its files."""
    folder = tmp_path_factory.mktemp("equipped") / "model"
    shutil.copytree(bare.model_dir, folder)
    shutil.copy(trained / "reranker" / "reranker.onnx", folder)
    config = json.loads((folder / "config.json").read_text())
    config["reranker"] = {"name": "compact reranker", "weight": 0.5}
    (folder / "config.json").write_text(json.dumps(config))
    return CompactEncoder(folder)


def _weight(reranker: object) -> float:
    assert isinstance(reranker, CompactReranker)
    return reranker.fusion.weight


def test_off_is_no_reranker(equipped: CompactEncoder) -> None:
    assert load_reranker("off", equipped) is None


def test_auto_prefers_the_one_trained_for_the_index(
    equipped: CompactEncoder, trained: Path, tmp_path: Path
) -> None:
    assert _weight(load_reranker("auto", equipped, trained)) == 0.25
    assert _weight(load_reranker("auto", equipped, tmp_path)) == 0.5
    assert _weight(load_reranker("auto", equipped)) == 0.5


def test_auto_is_none_where_there_is_nothing_to_take(bare: CompactEncoder, tmp_path: Path) -> None:
    assert load_reranker("auto", bare, tmp_path) is None
    assert load_reranker("auto", OpenClipEncoder("ViT-B-32/laion2b_s34b_b79k"), tmp_path) is None


def test_auto_passes_over_a_trained_one_that_no_longer_fits(
    equipped: CompactEncoder, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(trained / "reranker", tmp_path / "reranker")
    (tmp_path / "reranker" / "reranker.json").write_text('{"encoder": "before", "weight": 1}')
    assert _weight(load_reranker("auto", equipped, tmp_path)) == 0.5
    assert "train it again" in caplog.text


def test_a_folder_names_the_reranker_in_it(bare: CompactEncoder, trained: Path) -> None:
    assert _weight(load_reranker(str(trained / "reranker"), bare)) == 0.25


def test_compact_is_the_one_that_the_model_carries(
    equipped: CompactEncoder, bare: CompactEncoder
) -> None:
    reranker = load_reranker("compact", equipped)
    assert reranker is not None
    assert reranker.name == "compact"
    with pytest.raises(UnknownModelError, match="carries no reranker"):
        load_reranker("compact", bare)


def test_the_compact_one_is_refused_for_another_kind_of_model() -> None:
    with pytest.raises(UnknownModelError, match="made with the compact model"):
        load_reranker("compact", OpenClipEncoder("ViT-B-32/laion2b_s34b_b79k"))


def test_an_unknown_name_is_answered_with_the_known_ones(bare: CompactEncoder) -> None:
    with pytest.raises(UnknownModelError) as raised:
        load_reranker("clairvoyant", bare)
    assert all(info.name in str(raised.value) for info in list_rerankers())


def test_large_rerankers_are_named_without_being_loaded(bare: CompactEncoder) -> None:
    names = ["coca_ViT-B-32/laion2b_s13b_b90k", "blip", "blip:/models/blip"]
    loaded = [load_reranker(name, bare) for name in names]
    assert [own.name for own in loaded if own is not None] == [
        "coca_ViT-B-32/laion2b_s13b_b90k",
        "blip:Salesforce/blip-itm-base-coco",
        "blip:/models/blip",
    ]


def test_choosing_a_reranker_imports_nothing_heavy(trained: Path) -> None:
    script = (
        "import sys; from retrieval.rerankers.registry import load_reranker;"
        "from retrieval.encoders.compact import CompactEncoder;"
        f"load_reranker('auto', CompactEncoder(), {str(trained)!r});"
        "load_reranker('blip', CompactEncoder()); load_reranker('coca_x/y', CompactEncoder());"
        "heavy = {'torch', 'open_clip', 'transformers', 'onnxruntime', 'faiss'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])
