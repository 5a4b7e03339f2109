"""Captions by models: written, found by their words, kept through changes, and forgotten."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from indexer import caption_pictures, count_captions, index_folders, remove_captions
from indexer.sidecars import SidecarError
from retrieval import SearchEngine
from retrieval.captioning.base import Caption, PictureToCaption
from retrieval.search.records import exact_record, hit_from_record, hit_record
from tests.support.program import mmsearch

NAMES = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png")


@dataclass
class Repeater:
    """A captioner that says the file's name backwards, and nothing of files called coffee."""

    name: str = "repeater"
    needs_tokens: bool = False
    needs_images: bool = True
    seen: list[str] = field(default_factory=list)
    stop: threading.Event | None = None

    def caption(self, pictures: Sequence[PictureToCaption]) -> list[Caption | None]:
        self.seen += [picture.path.stem for picture in pictures]
        if self.stop is not None:
            self.stop.set()
        return [
            None if own.path.stem == "coffee" else Caption(f"zebra {own.path.stem[::-1]}", -1.0)
            for own in pictures
        ]


@pytest.fixture
def folder(photos: Path, tmp_path: Path) -> Path:
    found = tmp_path / "photos"
    found.mkdir()
    for name in NAMES:
        shutil.copy(photos / name, found / name)
    return found


@pytest.fixture
def index_dir(folder: Path, tmp_path: Path) -> Path:
    index_folders([folder], tmp_path / "index")
    return tmp_path / "index"


def captions(index_dir: Path) -> dict[str, dict[str, str]]:
    with SearchEngine.open(index_dir) as engine:
        ids = engine.index.catalog.item_ids().tolist()
        quick = {
            item.path.stem: dict(item.captions) for item in engine.index.reader.items(ids).values()
        }
        full = engine.index.catalog.items(ids)
        assert {item.path.stem: dict(item.captions) for item in full.values()} == quick
    return quick


def test_pictures_are_described_once_and_found_by_that(index_dir: Path) -> None:
    by = Repeater()
    report = caption_pictures(index_dir, captioner=by)
    assert (report.described, report.known) == (3, 0)
    assert [path.stem for path, _ in report.left] == ["coffee"]
    assert captions(index_dir)["chelsea"] == {"repeater": "zebra aeslehc"}
    assert captions(index_dir)["coffee"] == {}
    assert count_captions(index_dir) == {"repeater": 3}
    with SearchEngine.open(index_dir) as engine:
        found = engine.search("aeslehc", match="words")
        assert [hit.path.stem for hit in found] == ["chelsea"]
        assert found[0].word_score > 0.0
        assert len(engine.search("zebras", match="words")) == 3
        assert len(engine.search("a cat", k=10)) == 4
    again = caption_pictures(index_dir, captioner=by)
    assert (again.described, again.known) == (0, 3)
    assert by.seen[4:] == ["coffee"]
    assert caption_pictures(index_dir, captioner=by, force=True).described == 3


def test_captions_count_beside_the_vectors_in_questions_of_a_few_words(index_dir: Path) -> None:
    caption_pictures(index_dir, captioner=Repeater())

    def of_words(question: str) -> dict[str, float]:
        with SearchEngine.open(index_dir) as engine:
            return {hit.path.stem: hit.word_score for hit in engine.search(question, k=10)}

    told = of_words("zebra aeslehc")
    assert told["chelsea"] > told["rocket"] > told["coffee"] == 0.0
    # What a sentence means is told by its vector.
    assert set(of_words("zebra aeslehc beside tall trees").values()) == {0.0}


def test_several_models_stand_side_by_side_and_go_one_by_one(index_dir: Path, folder: Path) -> None:
    caption_pictures(index_dir, captioner=Repeater())
    caption_pictures(index_dir, captioner=Repeater("other"), folders=[folder / "rocket.jpg"])
    assert captions(index_dir)["rocket"] == {"other": "zebra tekcor", "repeater": "zebra tekcor"}
    assert remove_captions(index_dir, model="repeater") == 3
    assert count_captions(index_dir) == {"other": 1}
    assert remove_captions(index_dir) == 1
    with SearchEngine.open(index_dir) as engine:
        assert engine.search("zebra", match="words") == []


def test_captions_go_with_their_content_and_stay_with_it(index_dir: Path, folder: Path) -> None:
    caption_pictures(index_dir, captioner=Repeater())
    shutil.copy(folder / "rocket.jpg", folder / "twin.jpg")
    (folder / "chelsea.png").rename(folder / "cat.png")
    os.utime(folder / "rocket.jpg", (1, 1))
    shutil.copy(folder / "coffee.png", folder / "astronaut.png")
    index_folders([folder], index_dir)
    found = captions(index_dir)
    assert found["rocket"] == found["twin"] == {"repeater": "zebra tekcor"}
    assert found["cat"] == {"repeater": "zebra aeslehc"}
    assert found["astronaut"] == {}


def test_a_run_that_is_stopped_goes_on(index_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.captions._BATCH_SIZE", 2)
    stop = threading.Event()
    first = caption_pictures(index_dir, captioner=Repeater(stop=stop), stop=stop)
    assert first.interrupted and len(captions(index_dir)) == 4
    rest = caption_pictures(index_dir, captioner=Repeater())
    assert not rest.interrupted
    assert first.described + rest.described == 3


def test_a_caption_is_part_of_an_answer_s_record(index_dir: Path) -> None:
    caption_pictures(index_dir, captioner=Repeater())
    with SearchEngine.open(index_dir) as engine:
        hit = next(hit for hit in engine.search("a cat", k=4) if hit.path.stem == "chelsea")
    assert hit_record(hit)["captions"] == [{"model": "repeater", "text": "zebra aeslehc"}]
    assert hit_from_record(json.loads(json.dumps(exact_record(hit)))) == hit
    assert "zebra aeslehc" in hit._repr_html_()


def test_the_command_describes_writes_sidecars_and_forgets(
    index_dir: Path, folder: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = mmsearch("caption", folder, "--xmp", "--json", index_dir=index_dir)
    assert told.returncode == 0, told.stderr
    record = json.loads(told.stdout)
    assert (record["model"], record["described"], record["sidecars"]) == ("compact", 4, 4)
    said = {Path(own["path"]).stem: own["text"] for own in record["captions"]}
    assert "cat" in said["chelsea"].split()
    assert (folder / "chelsea.png.xmp").exists()
    assert all((folder / name).read_bytes() == data for name, data in before.items())
    again = mmsearch("caption", "--all", index_dir=index_dir)
    assert again.stdout == "0 pictures described by compact; 4 were described before.\n"
    gallery = tmp_path / "page.html"
    mmsearch("query", "a cat", "--gallery", gallery, index_dir=index_dir)
    assert said["chelsea"] in gallery.read_text("utf-8")
    gone = mmsearch("caption", "--all", "--remove", "--xmp", index_dir=index_dir)
    assert gone.stdout == "4 captions forgotten.\n"
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def test_the_command_says_what_it_cannot_do(index_dir: Path, folder: Path) -> None:
    assert mmsearch("caption", index_dir=index_dir).returncode == 2
    assert mmsearch("caption", folder, "--all", index_dir=index_dir).returncode == 2
    unknown = mmsearch("caption", "--all", "--model", "nothing", index_dir=index_dir)
    assert unknown.returncode == 4 and "no captioner called nothing" in unknown.stderr
    (folder / "rocket.jpg.xmp").write_bytes(b"not XML")
    partly = mmsearch("caption", "--all", "--xmp", index_dir=index_dir)
    assert partly.returncode == 1 and "left as it is" in partly.stderr
    for command in (["caption"], ["caption", "--remove"], ["caption", "--remove", "--xmp"]):
        other = folder.parent / "none"
        nowhere = mmsearch(*command, other, index_dir=index_dir)
        assert (nowhere.returncode, nowhere.stdout) == (1, "")
        assert nowhere.stderr == (
            f"Error: No picture below {other} is indexed: check the folder's name.\n"
        )


BROKEN = {
    "chelsea.png": b"not XML",
    "coffee.png": b"",
    "rocket.jpg": "<x>\u00e9</x>".encode("utf-16"),
}


def test_removing_passes_over_sidecars_that_cannot_be_mended(index_dir: Path, folder: Path) -> None:
    assert mmsearch("caption", "--all", "--xmp", index_dir=index_dir).returncode == 0
    whole = (folder / "chelsea.png.xmp").read_bytes()
    for name, content in BROKEN.items():
        (folder / f"{name}.xmp").write_bytes(content)
    gone = mmsearch("caption", "--all", "--remove", "--xmp", index_dir=index_dir)
    assert (gone.returncode, gone.stdout) == (1, "4 captions forgotten.\n")
    for name in BROKEN:
        assert f"The side-car {folder / name}.xmp is left as it is" in gone.stderr
        assert (folder / f"{name}.xmp").read_bytes() == BROKEN[name]
    assert "--xmp" not in gone.stderr
    assert not (folder / "astronaut.png.xmp").exists()
    assert count_captions(index_dir) == {}
    # Mended, the same command takes out what it holds, though the index has no caption any more.
    (folder / "chelsea.png.xmp").write_bytes(whole)
    (folder / "coffee.png.xmp").unlink()
    (folder / "rocket.jpg.xmp").unlink()
    (folder / "rocket.jpg.xmp").mkdir()
    again = mmsearch("caption", folder, "--remove", "--xmp", "--json", index_dir=index_dir)
    record = json.loads(again.stdout)
    assert (again.returncode, record["removed"]) == (1, 0)
    assert [Path(left["path"]).name for left in record["left"]] == ["rocket.jpg"]
    assert not (folder / "chelsea.png.xmp").exists()


def test_without_somebody_to_tell_a_sidecar_that_stays_is_raised_at_the_end(
    index_dir: Path, folder: Path
) -> None:
    caption_pictures(index_dir, captioner=Repeater(), sidecars=True)
    (folder / "chelsea.png.xmp").write_bytes(b"not XML")
    with pytest.raises(SidecarError, match="chelsea"):
        remove_captions(index_dir, sidecars=True)
    assert count_captions(index_dir) == {}
    assert [file.name for file in folder.glob("*.xmp")] == ["chelsea.png.xmp"]
