"""`mmsearch thumbs`, and how answers that are moments look in a pipe."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from indexer import index_folders
from retrieval.errors import MmsearchError
from retrieval.media.strip import as_file
from samples.clips import Shot, write_clip
from tests.support.program import mmsearch as program


@pytest.fixture(scope="module")
def clip(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    shots = [Shot(photos / name, 1.5, "still") for name in ("chelsea.png", "coffee.png")]
    write_clip(path, shots)
    index_folders([path.parent], path.parent / ".index")
    return path


def mmsearch(clip: Path, *args: str) -> str:
    result = program(*args, index_dir=clip.parent / ".index")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_moments_of_a_video_are_listed(clip: Path) -> None:
    assert mmsearch(clip, "thumbs", str(clip)).split() == ["00:00:00", "00:00:01"]
    records = json.loads(mmsearch(clip, "thumbs", str(clip), "--json"))
    assert [record["time"] for record in records] == ["00:00:00", "00:00:01"]


def test_a_strip_shows_them_side_by_side(clip: Path, tmp_path: Path) -> None:
    mmsearch(clip, "thumbs", str(clip), "--save", str(tmp_path / "strip.png"))
    with Image.open(tmp_path / "strip.png") as strip:
        assert (strip.format, strip.size) == ("PNG", (488, 204))
        frames = strip.convert("RGB").crop((0, 0, 240, 180)), strip.crop((244, 0, 484, 180))
        assert len({frame.convert("RGB").resize((1, 1)).getpixel((0, 0)) for frame in frames}) == 2


def test_answers_say_when(clip: Path) -> None:
    lines = mmsearch(clip, "query", "a cup of coffee").splitlines()
    assert lines[0].endswith("clip.mp4 @ 00:00:01")
    folded = mmsearch(clip, "query", "a cup of coffee", "--fold").splitlines()
    assert len(folded) == 1
    assert folded[0].endswith("clip.mp4 @ 00:00:01  +1 moment, 00:00:00 to 00:00:01")
    record = json.loads(mmsearch(clip, "query", "a cup of coffee", "--fold", "--json"))[0]
    assert (record["time"], record["span_ms"]) == ("00:00:01", [0, 1500])


def test_a_gallery_plays_a_video_from_its_moment(clip: Path, tmp_path: Path) -> None:
    mmsearch(clip, "query", "a cup of coffee", "--gallery", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "clip.mp4#t=1.500" in page and "data-video" in page
    assert "clip.mp4 @ 00:00:01" in page and "data:image/jpeg;base64," in page
    assert "+1 moment, 00:00:00 to 00:00:01" in page
    # The strip of both moments.
    assert "clip.mp4#t=0.000" in page and page.count('<img alt="00:00:0') == 2


@pytest.mark.parametrize("name", ["strip.txt", "strip"])
def test_a_strip_of_another_kind_is_wrong_usage(clip: Path, tmp_path: Path, name: str) -> None:
    done = program("thumbs", clip, "--save", tmp_path / name, index_dir=clip.parent / ".index")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has to end with one of .jpg, .jpeg, .png, .webp." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_strip_too_high_for_its_format_is_a_sentence() -> None:
    high = Image.new("RGB", (1, 16_384))
    with pytest.raises(MmsearchError, match=r"too high for WEBP: save it as \.png"):
        as_file(high, ".webp")
    assert as_file(high, ".PNG") and as_file(high, ".JPeG")


def test_no_strip_is_made_of_a_video_that_has_changed(
    clip: Path, photos: Path, tmp_path: Path
) -> None:
    library, index_dir, strip = tmp_path / "library", tmp_path / "index", tmp_path / "strip.png"
    library.mkdir()
    video = Path(shutil.copy(clip, library))
    index_folders([library], index_dir)
    write_clip(video, [Shot(photos / "rocket.jpg", 1.0, "still")])
    done = program("thumbs", video, "--save", strip, index_dir=index_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has changed since it was indexed: run `mmsearch index`" in done.stderr
    assert not strip.exists()
    index_folders([library], index_dir)
    assert program("thumbs", video, "--save", strip, index_dir=index_dir).returncode == 0
    os.utime(video, (1, 1))
    assert program("thumbs", video, index_dir=index_dir).returncode == 0


def test_a_video_that_could_not_be_indexed_is_told_with_its_reason(
    clip: Path, tmp_path: Path
) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    library.mkdir()
    shutil.copy(clip, library)
    (library / "bad.mp4").write_bytes(b"no video at all")
    index_folders([library], index_dir)
    done = program("thumbs", library / "bad.mp4", index_dir=index_dir)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {library / 'bad.mp4'} could not be indexed: ")
    assert done.stderr.endswith("See `mmsearch status --failures`.\n")
    done = program("thumbs", library / "none.mp4", index_dir=index_dir)
    assert done.stderr.endswith("none.mp4 is not indexed. See `mmsearch status`.\n")
