"""What is written into an index through the service: pictures, searches, marks."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from samples.photos import CAPTIONS
from tests.web.conftest import ADDRESS, serving
from web.app import create_app
from web.service import Service
from web.settings import ServeSettings


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    own = tmp_path / "photos"
    own.mkdir()
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        shutil.copy(photos / name, own / name)
    shutil.copy(photos / "coffee.png", own / "coffee again.png")
    (own / "broken.jpg").write_bytes(b"no picture")
    return own


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(ServeSettings(tmp_path / "index"))
    with TestClient(app, base_url=ADDRESS) as client:
        yield client


def _indexed(client: TestClient, *paths: Path) -> dict[str, Any]:
    answer = client.post("/api/indexing", json={"paths": [str(path) for path in paths]})
    assert answer.status_code == 202, answer.text
    for _ in range(1200):
        job: dict[str, Any] = client.get("/api/indexing").json()
        if job["state"] not in ("running", "stopping"):
            return job
        time.sleep(0.05)
    raise AssertionError("indexing does not end")


def test_a_server_begins_without_an_index_and_makes_one(client: TestClient, folder: Path) -> None:
    assert client.get("/api/status").json()["pictures"] == 0
    missing = client.get("/api/search", params={"q": "a cat"})
    assert missing.status_code == 503 and missing.json()["error"]["code"] == "index-missing"
    assert client.post("/api/indexing", json={}).status_code == 400
    job = _indexed(client, folder)
    assert job["state"] == "done" and job["report"]["new"] == 4 and job["report"]["failed"] == 1
    hits = client.get("/api/search", params={"q": "a cat", "k": 1}).json()["hits"]
    assert hits[0]["name"] == "chelsea.png"
    failures = client.get("/api/failures").json()
    assert failures["total"] == 1 and failures["failures"][0]["path"].endswith("broken.jpg")
    again = _indexed(client)
    assert again["report"]["new"] == 0 and again["report"]["unchanged"] >= 4


def test_a_path_that_is_not_there_is_told(client: TestClient, tmp_path: Path) -> None:
    assert _indexed(client, tmp_path / "nowhere")["error"]["message"]
    assert client.post("/api/indexing", json={"paths": ["relative"]}).status_code == 400


def test_the_choice_of_a_folder_begins_somewhere_for_users_without_a_home(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for home, expected in ((tmp_path, tmp_path), (tmp_path / "none", Path(tmp_path.anchor))):
        monkeypatch.setenv("HOME", str(home))
        answer = client.get("/api/folders")
        assert answer.status_code == 200
        assert answer.json()["path"] == str(expected)


def test_on_another_host_only_allowed_folders_are_indexed(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (folder / "link").symlink_to(other)
    token = "a token of some length"
    settings = ServeSettings(
        tmp_path / "index", host="0.0.0.0", token=token, folders=(folder.parent / "photos",)
    )
    shown = {"authorization": f"Bearer {token}"}
    with TestClient(create_app(settings), base_url=ADDRESS, headers=shown) as client:
        assert client.get("/api/status").json()["index_below"] == [str(folder)]
        for path in ("/", "/etc", other, folder / "..", folder / ".." / "other", folder / "link"):
            refused = client.post("/api/indexing", json={"paths": [str(folder), str(path)]})
            assert refused.status_code == 403, path
        assert client.get("/api/indexing").json() == {"state": "none"}
        assert _indexed(client, folder)["report"]["new"] == 4
        assert _indexed(client)["state"] == "done"
    closed = ServeSettings(tmp_path / "index", host="0.0.0.0", token=token)
    with TestClient(create_app(closed), base_url=ADDRESS, headers=shown) as client:
        assert client.post("/api/indexing", json={"paths": [str(folder)]}).status_code == 403


def test_progress_is_streamed_while_questions_are_answered(tmp_path: Path, photos: Path) -> None:
    """Reads go on while an indexer writes; events say how far it is."""
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(photos / "chelsea.png", first)
    with (
        serving(ServeSettings(tmp_path / "index")) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        client.post("/api/indexing", json={"paths": [str(first)]})
        _wait(client)
        seen: list[tuple[str, dict[str, Any]]] = []
        with client.stream("GET", "/api/events") as stream:
            client.post("/api/indexing", json={"paths": [str(photos)]})
            event = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    seen.append((event, json.loads(line.removeprefix("data: "))))
                    hits = client.get("/api/search", params={"q": "a cat", "k": 1}).json()["hits"]
                    assert hits[0]["name"] == "chelsea.png"
                    last = seen[-1][1]
                    if event == "indexing" and last["paths"] == [str(photos)]:
                        if last["state"] == "done":
                            break
                        assert last["state"] == "running"
        assert {name for name, _ in seen} == {"indexing", "index"}


def test_a_saved_search_is_found_again_by_the_command_line_s_names(
    client: TestClient, folder: Path
) -> None:
    _indexed(client, folder)
    asked = {"q": "a cat type:png", "k": 5, "filter": "-tag:people", "not": ["a dog"]}
    assert client.put("/api/saved/cats", json=asked).status_code == 204
    assert client.put("/api/saved/like", json={"like": [1]}).status_code == 400
    saved = client.get("/api/saved").json()["saved"]
    assert [one["name"] for one in saved] == ["cats"]
    assert saved[0]["q"] == asked["q"] and saved[0]["others"] == []
    assert saved[0]["options"] == {"k": 5, "filter": "-tag:people", "not": ["a dog"]}
    assert client.delete("/api/saved/cats").status_code == 204
    assert client.delete("/api/saved/cats").status_code == 404


def test_a_mark_moves_the_question_until_it_is_forgotten(client: TestClient, folder: Path) -> None:
    _indexed(client, folder)
    asked = {"q": "something", "k": 3, "rerank": "off", "match": "pictures"}
    before = [hit["id"] for hit in client.get("/api/search", params=asked).json()["hits"]]
    marked = {"q": "something", "id": before[-1], "good": True}
    assert client.post("/api/feedback", json=marked).status_code == 204
    moved = [hit["id"] for hit in client.get("/api/search", params=asked).json()["hits"]]
    assert moved[0] == before[-1]
    assert client.request("DELETE", "/api/feedback", json={"q": "something"}).status_code == 204
    after = [hit["id"] for hit in client.get("/api/search", params=asked).json()["hits"]]
    assert after == before


def test_tags_are_given_and_taken_and_found_by(client: TestClient, folder: Path) -> None:
    _indexed(client, folder)
    given = {"ids": [1, 2, 999], "add": ["a  day out"]}
    assert client.post("/api/tags", json=given).json() == {"changed": 2}
    assert client.get("/api/tags").json()["tags"] == [{"value": "a day out", "count": 2}]
    found = client.get("/api/search", params={"q": 'tag:"a day out"'}).json()["hits"]
    assert sorted(hit["id"] for hit in found) == [1, 2]
    assert client.get("/api/pictures/1").json()["tags"] == ["a day out"]
    assert client.post("/api/tags", json={"ids": [1], "add": [" "]}).status_code == 400
    client.post("/api/tags", json={"ids": [1, 2], "remove": ["A day out"]})
    assert client.get("/api/tags").json()["tags"] == []


def test_copies_are_found_in_the_background(client: TestClient, folder: Path) -> None:
    _indexed(client, folder)
    for _ in range(600):
        found = client.get("/api/duplicates").json()
        if found["state"] != "running":
            break
        time.sleep(0.05)
    assert found["state"] == "done"
    assert found["total_groups"] == 1 and found["spare_bytes"] > 0
    (group,) = found["groups"]
    assert sorted(hit["name"] for hit in group["hits"]) == ["coffee again.png", "coffee.png"]
    assert [hit["kind"] for hit in group["hits"]] == [None, "identical"] and group["reason"]
    assert client.get("/api/duplicates", params={"offset": 1}).json()["groups"] == []


def test_the_end_of_the_server_ends_the_search_for_copies(photo_index: Path) -> None:
    service = Service(ServeSettings(photo_index))
    service.copies.look(service.engine)
    assert "copies" in {thread.name for thread in threading.enumerate()}
    service.close()
    assert "copies" not in {thread.name for thread in threading.enumerate()}


def test_a_model_is_measured_on_captions(client: TestClient, photos: Path, folder: Path) -> None:
    _indexed(client, folder)
    asked = {"captions": str(CAPTIONS), "images": str(photos), "rerank": "off"}
    found = client.post("/api/eval", json=asked)
    assert found.status_code == 200, found.text
    assert 0 < found.json()["text_to_image"]["before"]["recall_at_1"]["value"] <= 1
    assert client.post("/api/eval", json=asked | {"images": "here"}).status_code == 400


def _wait(client: httpx.Client) -> None:
    while client.get("/api/indexing").json()["state"] == "running":
        time.sleep(0.05)


def test_a_question_of_which_nothing_is_to_be_seen_has_no_marks(
    client: TestClient, folder: Path
) -> None:
    _indexed(client, folder)
    for asked in ("", " ", "\x90\U0004d52c", "\u200b"):
        answer = client.get("/api/feedback", params={"q": asked})
        assert (answer.status_code, answer.json()) == (200, {"right": [], "wrong": []})
