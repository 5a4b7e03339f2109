"""An index moves to another model in place, and answers all the while."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import check_index, index_folders, upgrade_index
from indexer.report import SilentProgress
from retrieval.catalog import Catalog
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder, CompactTextEncoder
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import EncoderMismatchError, IndexMissingError
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.patch_tokens import fingerprint_of
from tests.support.program import mmsearch
from tests.support.small_encoder import ColorEncoder

PICTURES = 70


class OtherEncoder(ColorEncoder):
    """Another model: vectors of another dimension."""

    def __init__(self) -> None:
        super().__init__("others", "o0")
        self.space = EmbeddingSpace("others", 24, "o0")

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        encoding = super().encode_images(pixels)
        vectors = encoding.vectors[:, ::2]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return ImageEncoding(np.ascontiguousarray(vectors, np.float32), encoding.patch_tokens)


class StopAfter(SilentProgress):
    """Sets an event once so many files are done."""

    def __init__(self, files: int) -> None:
        self.stop = threading.Event()
        self._left = files

    def advance(self, files: int) -> None:
        self._left -= files
        if self._left <= 0:
            self.stop.set()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for number in range(PICTURES):
        colour = (number * 3, 255 - number * 3, number * 7 % 256)
        Image.new("RGB", (20, 16), colour).save(folder / f"{number:02}.png")
    # A copy: the same content twice.
    shutil.copyfile(folder / "00.png", folder / "copy.png")
    return folder


@pytest.fixture
def index_dir(library: Path, tmp_path: Path) -> Path:
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    return tmp_path / "index"


def encoder_name(index_dir: Path) -> str:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        assert catalog.encoder is not None
        return catalog.encoder.name


def answers(index_dir: Path, encoder: ColorEncoder) -> dict[Path, float]:
    with SearchEngine.open(index_dir, encoder=encoder) as engine:
        query = Image.new("RGB", (8, 8), (200, 30, 90))
        return {hit.path: hit.score for hit in engine.search(query, k=20)}


def test_a_moved_index_answers_as_one_made_with_the_new_model(
    index_dir: Path, library: Path, tmp_path: Path
) -> None:
    ids = _ids(index_dir)
    report = upgrade_index(index_dir, encoder=OtherEncoder())
    assert (report.encoded, report.left, report.moved) == (PICTURES + 1, 0, True)
    assert (report.model_before, report.model) == ("colours", "others")
    assert _ids(index_dir) == ids
    index_folders([library], tmp_path / "fresh", encoder=OtherEncoder())
    moved, fresh = answers(index_dir, OtherEncoder()), answers(tmp_path / "fresh", OtherEncoder())
    assert moved.keys() == fresh.keys()
    assert list(moved.values()) == pytest.approx(list(fresh.values()), abs=1e-3)
    assert check_index(index_dir, encoder=OtherEncoder()).findings == ()
    with pytest.raises(EncoderMismatchError, match=r"others.*colours"):
        answers(index_dir, ColorEncoder())


def _ids(index_dir: Path) -> dict[Path, int]:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        return {item.path: id_ for id_, item in catalog.items(catalog.item_ids().tolist()).items()}


def test_stopped_in_the_middle_the_old_model_answers_and_the_next_run_goes_on(
    index_dir: Path, library: Path
) -> None:
    before = answers(index_dir, ColorEncoder())
    half = StopAfter(1)
    report = upgrade_index(index_dir, encoder=OtherEncoder(), progress=half, stop=half.stop)
    assert report.interrupted and not report.moved
    assert 0 < report.encoded < PICTURES
    assert encoder_name(index_dir) == "colours"
    assert answers(index_dir, ColorEncoder()) == before
    # What is indexed meanwhile is of the old model, and one picture is another now.
    Image.new("RGB", (20, 16), (1, 2, 3)).save(library / "00.png")
    Image.new("RGB", (20, 16), (3, 2, 1)).save(library / "new.png")
    index_folders([library], index_dir, encoder=ColorEncoder())
    assert check_index(index_dir, encoder=ColorEncoder()).findings == ()
    other = OtherEncoder()
    again = upgrade_index(index_dir, encoder=other)
    assert again.moved
    assert other.seen == again.encoded < PICTURES
    assert check_index(index_dir, encoder=OtherEncoder()).findings == ()
    assert index_folders([library], index_dir, encoder=other).unchanged == PICTURES + 2


def test_a_third_model_replaces_a_move_that_was_not_finished(index_dir: Path) -> None:
    half = StopAfter(1)
    upgrade_index(index_dir, encoder=OtherEncoder(), progress=half, stop=half.stop)
    third = ColorEncoder("third", "t0")
    assert upgrade_index(index_dir, encoder=third).encoded == PICTURES + 1
    assert encoder_name(index_dir) == "third"
    assert check_index(index_dir, encoder=third).findings == ()


def test_a_picture_that_cannot_be_read_keeps_the_index_until_it_is_left_behind(
    index_dir: Path, library: Path
) -> None:
    (library / "05.png").unlink()
    report = upgrade_index(index_dir, encoder=OtherEncoder())
    assert (report.left, report.moved) == (1, False)
    assert encoder_name(index_dir) == "colours"
    report = upgrade_index(index_dir, encoder=OtherEncoder(), leave_behind=True)
    assert (report.encoded, report.left, report.moved) == (0, 1, True)
    assert library / "05.png" not in _ids(index_dir)
    assert check_index(index_dir, encoder=OtherEncoder()).findings == ()


def test_nothing_is_left_behind_where_nothing_can_be_read(index_dir: Path, library: Path) -> None:
    library.rename(library.with_name("elsewhere"))
    report = upgrade_index(index_dir, encoder=OtherEncoder(), leave_behind=True)
    assert (report.left, report.moved) == (PICTURES + 1, False)
    assert encoder_name(index_dir) == "colours"


def test_a_move_cut_off_before_its_tokens_took_their_place_is_ended_by_the_next_writer(
    index_dir: Path, library: Path
) -> None:
    upgrade_index(index_dir, encoder=OtherEncoder())
    location = IndexDir(index_dir)
    location.tokens.rename(location.next_tokens)
    # A question meanwhile neither makes the file nor empties one.
    answers(index_dir, OtherEncoder())
    assert not location.tokens.exists()
    index_folders([library], index_dir, encoder=OtherEncoder())
    assert fingerprint_of(location.tokens) == "o0"
    assert not location.next_tokens.exists()
    assert check_index(index_dir, encoder=OtherEncoder()).findings == ()


def test_an_index_of_that_model_already_is_left_as_it_is(index_dir: Path) -> None:
    report = upgrade_index(index_dir, encoder=ColorEncoder())
    assert (report.encoded, report.moved) == (0, False)
    with pytest.raises(IndexMissingError):
        upgrade_index(index_dir.with_name("nowhere"), encoder=ColorEncoder())


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """The built-in model with another preprocessing, which gives other vectors."""
    folder = tmp_path / "model"
    shutil.copytree(COMPACT_DIR, folder)
    config = (folder / "config.json").read_text().replace("bicubic", "bilinear")
    (folder / "config.json").write_text(config)
    return folder


def test_an_open_engine_answers_before_while_and_after(
    photos: Path, photo_index: Path, other_model: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    shutil.copytree(photo_index, index_dir)
    with SearchEngine.open(index_dir) as engine:
        before = [hit.path for hit in engine.search("a cup of coffee", k=3)]
        old_space = engine.encoder.space
        seen: list[list[Path]] = []

        class Asking(SilentProgress):
            def advance(self, files: int) -> None:
                seen.append([hit.path for hit in engine.search("a cup of coffee", k=3)])

        report = upgrade_index(index_dir, model=str(other_model), progress=Asking())
        assert report.moved
        assert seen and all(paths == before for paths in seen)
        after = engine.search("a cup of coffee", k=3)
        assert after[0].path == before[0]
        assert not engine.encoder.space.is_same(old_space)
        assert engine.explain(after[0]) is not None
        with SearchEngine.open(index_dir) as fresh:
            assert fresh.search("a cup of coffee", k=3) == after


def test_another_text_tower_asks_an_index_without_encoding_anything_again(
    photo_index: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("text.onnx", "tokenizer.json"):
        shutil.copyfile(COMPACT_DIR / name, folder / name)
    config = json.loads((COMPACT_DIR / "config.json").read_text())
    config["space"] = {"fingerprint": config["fingerprint"]}
    (folder / "config.json").write_text(json.dumps(config))
    texts = CompactTextEncoder.trained_for(folder)
    with SearchEngine.open(photo_index) as plain:
        expected = plain.search("a cup of coffee", k=5, rerank="off")
    with SearchEngine.open(photo_index, text_encoder=texts) as engine:
        assert engine.search("a cup of coffee", k=5, rerank="off") == expected
        # Its words are not those that the reranker was trained on.
        assert engine.search("a cup of coffee", k=5) == expected
    config["space"] = {"fingerprint": "another"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderMismatchError):
        SearchEngine.open(photo_index, text_encoder=CompactTextEncoder.trained_for(folder))


def test_an_index_of_the_first_version_is_one_of_the_present_space(
    photos: Path, other_model: Path, tmp_path: Path
) -> None:
    """Its fingerprint was of both towers."""
    index_dir = tmp_path / "index"
    encoder = CompactEncoder(other_model, str(other_model))
    index_folders([photos], index_dir, encoder=encoder)
    space = encoder.space
    with Catalog.open(index_dir / "catalog.sqlite") as catalog, catalog.transaction() as change:
        change._connection.exec_driver_sql("UPDATE spaces SET fingerprint = ?", (space.former[0],))
    (index_dir / "tokens.sqlite").unlink()
    with SearchEngine.open(index_dir) as engine:
        assert engine.search("a cup of coffee", k=1)[0].path.name == "coffee.png"


def test_the_command_moves_the_index_and_says_so(
    photo_index: Path, other_model: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    shutil.copytree(photo_index, index_dir)
    already = mmsearch("upgrade", index_dir=index_dir)
    assert (already.returncode, "already" in already.stdout) == (0, True)
    moved = mmsearch("upgrade", "--model", str(other_model), "--json", index_dir=index_dir)
    assert moved.returncode == 0
    report = json.loads(moved.stdout)
    assert report["moved"] and report["model_before"] == "compact"
    status = json.loads(mmsearch("status", "--json", index_dir=index_dir).stdout)
    assert (status["model"], status["moving_to"]) == (str(other_model), None)
    unknown = mmsearch("upgrade", "--model", " ", index_dir=index_dir)
    assert unknown.returncode == 4
