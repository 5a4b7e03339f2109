"""Videos over HTTP: their moments among the answers, frames as thumbnails, files in parts."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from indexer import index_folders
from samples.clips import Shot, write_clip
from tests.web.conftest import ADDRESS
from web.app import create_app
from web.media_types import media_type_of
from web.settings import ServeSettings


@pytest.fixture(scope="module")
def library(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    shots = [Shot(photos / name, 1.5, "still") for name in ("chelsea.png", "coffee.png")]
    write_clip(folder / "clip.mp4", shots)
    shutil.copy(photos / "rocket.jpg", folder)
    return folder


@pytest.fixture(scope="module")
def client(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    index_dir = tmp_path_factory.mktemp("index")
    index_folders([library], index_dir)
    with TestClient(create_app(ServeSettings(index_dir)), base_url=ADDRESS) as client:
        yield client


def ask(client: TestClient, q: str, **options: object) -> list[dict[str, object]]:
    answer = client.get("/api/search", params={"q": q, **options})
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, object]] = answer.json()["hits"]
    return hits


def test_a_moment_has_its_time_and_its_video_is_one_answer(client: TestClient) -> None:
    cat = ask(client, "a cat")[0]
    assert cat["name"] == "clip.mp4 @ 00:00:00" and cat["time"] == "00:00:00"
    assert cat["span_ms"][1] >= 1500 > cat["time_ms"]  # type: ignore[index,operator]
    assert [hit["path"] for hit in ask(client, "a cat")].count(cat["path"]) == 1
    assert len([hit for hit in ask(client, "a cat", fold=False) if hit["time"]]) == 2
    rocket = ask(client, "a rocket")[0]
    assert (rocket["time_ms"], rocket["time"], rocket["span_ms"]) == (None, None, None)
    whole = client.get(f"/api/pictures/{cat['id']}").json()
    assert whole["folder"] == str(Path(str(cat["path"])).parent)


def test_a_video_is_packed_once_however_many_moments_are_asked_for(client: TestClient) -> None:
    ids = [hit["id"] for hit in ask(client, "type:mp4", fold=False)]
    assert len(ids) == 2
    answer = client.post("/api/zip", json={"ids": ids})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["clip.mp4"]


def test_an_ordered_question_answers_with_the_moments_of_its_steps(client: TestClient) -> None:
    best = ask(client, "a cat, then a cup of coffee")[0]
    assert [best["question"], *(hit["question"] for hit in best["like"])] == [  # type: ignore[attr-defined]
        "a cat", "a cup of coffee",
    ]  # fmt: skip
    terms = [{"words": "a cat"}], [{"words": "a cup of coffee"}]
    asked = {"terms": terms[0], "following": [terms[1]]}
    answer = client.post("/api/search", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["hits"][0]["like"]


def test_each_moment_has_a_thumbnail_of_its_own_frame(client: TestClient) -> None:
    moments = [hit for hit in ask(client, "a cat", fold=False) if hit["time"]]
    small = [client.get(str(hit["thumbnail"])) for hit in moments]
    assert all(answer.status_code == 200 for answer in small)
    assert len({answer.headers["etag"] for answer in small}) == 2
    first, second = (Image.open(io.BytesIO(answer.content)) for answer in small)
    assert first.size == second.size == (320, 240)
    assert first.convert("RGB").resize((1, 1)).getpixel((0, 0)) != second.convert("RGB").resize(
        (1, 1)
    ).getpixel((0, 0))


def test_a_video_comes_in_the_parts_that_players_ask_for(client: TestClient, library: Path) -> None:
    data = (library / "clip.mp4").read_bytes()
    address = str(ask(client, "a cat")[0]["picture"])
    whole = client.get(address)
    assert whole.content == data and whole.headers["content-type"] == "video/mp4"
    part = client.get(address, headers={"range": "bytes=100-299"})
    assert part.status_code == 206 and part.content == data[100:300]
    assert part.headers["content-range"] == f"bytes 100-299/{len(data)}"
    assert "media-src 'self'" in client.get("/").headers["content-security-policy"]


def test_a_video_that_was_exchanged_is_not_given_out(
    photos: Path, tmp_path: Path, library: Path
) -> None:
    folder = tmp_path / "library"
    shutil.copytree(library, folder)
    index_folders([folder], tmp_path / "index")
    app = create_app(ServeSettings(tmp_path / "index"))
    with TestClient(app, base_url=ADDRESS) as client:
        hit = ask(client, "a cat")[0]
        (folder / "clip.mp4").unlink()
        (folder / "clip.mp4").symlink_to("/etc/hostname")
        for address in (hit["picture"], hit["thumbnail"]):
            assert client.get(str(address)).status_code >= 400


def test_what_browsers_play_is_told_by_first_bytes() -> None:
    mp4 = b"\0\0\0\x20ftypisom" + bytes(64)
    assert media_type_of(mp4, Path("a.mov")) == "video/mp4"
    assert media_type_of(mp4, Path("a.jpg")) is None
    assert media_type_of(b"\x1a\x45\xdf\xa3" + bytes(64), Path("a.mkv")) == "video/webm"
    assert media_type_of(b"RIFF" + bytes(64), Path("a.avi")) is None
