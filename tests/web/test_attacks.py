"""Attempts to read what is not indexed, and to make a browser ask for somebody else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from indexer import index_folders
from retrieval.errors import MmsearchError
from web.app import PAGE, create_app
from web.settings import Limits, ServeSettings

ADDRESS = "http://127.0.0.1:8017"
SECRET = b"the secret of a file that is not indexed"
TOKEN = "a token of some length"


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """A few indexed pictures, and beside them a file that is not."""
    own = tmp_path / "photos"
    own.mkdir()
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        shutil.copy(photos / name, own / name)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (own / "secret.txt").write_bytes(SECRET)
    index_folders([own], tmp_path / "index")
    return own


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(ServeSettings(tmp_path / "index")), base_url=ADDRESS) as client:
        yield client


def _paths(secret: Path) -> Iterator[str]:
    """Ways of writing a path that have fooled servers."""
    whole = str(secret)
    up = ["../" * depth for depth in range(1, 9)]
    written = [
        whole,
        "/" + whole,
        "//" + whole,
        "file://" + whole,
        whole + "\0.png",
        *(climb + whole.lstrip("/") for climb in up),
        *(climb + "secret.txt" for climb in up),
        *("....//" * depth + whole.lstrip("/") for depth in (1, 3, 5)),
        *("..;/" * depth + whole.lstrip("/") for depth in (1, 3, 5)),
        *("..\\" * depth + whole.lstrip("/").replace("/", "\\") for depth in (1, 3, 5)),
    ]
    for path in written:
        yield path
        yield quote(path, safe="")
        yield quote(quote(path, safe=""), safe="")
        yield path.replace("/", "%2f").replace(".", "%2e")
        yield path.replace("../", "%c0%ae%c0%ae%c0%af").replace("..", "%u002e%u002e")


def test_no_path_leads_to_a_file_that_is_not_indexed(server: TestClient, folder: Path) -> None:
    attempts = 0
    for path in _paths(folder.parent / "secret.txt"):
        places = (
            f"/{path}",
            f"/api/pictures/{path}/file",
            f"/api/pictures/{path}/thumbnail",
            f"/api/pictures/1/file?path={path}&id={path}",
            f"/api/uploads/{path}/thumbnail",
        )
        for place in places:
            try:
                answer = server.get(place)
            except Exception as error:
                # A client that will not even write such an address.
                assert "InvalidURL" in type(error).__name__, error
                continue
            attempts += 1
            assert SECRET not in answer.content, place
            assert answer.status_code < 500, place
    assert attempts >= 200


@pytest.mark.parametrize(
    "item_id", ["0", "-1", "4", "999999999", "9" * 30, "1e3", "1.5", "0x1", "%00"]
)
def test_what_is_no_id_of_an_indexed_picture_is_refused(server: TestClient, item_id: str) -> None:
    for part in ("", "/file", "/thumbnail", "/similar", "/neighbours", "/heat?q=cat"):
        assert server.get(f"/api/pictures/{item_id}{part}").status_code in (404, 422)


def test_a_link_in_a_picture_s_place_is_not_followed_to_elsewhere(
    server: TestClient, folder: Path
) -> None:
    secret = folder.parent / "secret.txt"
    picture = folder / "rocket.jpg"
    rocket = server.get("/api/search", params={"filter": "name:rocket.jpg"}).json()["hits"][0]
    address = rocket["picture"]
    kept = picture.read_bytes()
    facts = picture.stat()
    assert server.get(address).content == kept

    def swaps() -> Iterator[str]:
        picture.unlink()
        own = folder / "secret.txt"
        for target in (secret, own, Path("/etc/passwd"), folder, Path("/dev/zero")):
            picture.symlink_to(target)
            yield f"a link to {target}"
            picture.unlink()
        os.link(secret, picture)
        yield "a hard link"
        picture.unlink()
        os.mkfifo(picture)
        yield "a pipe that nobody writes to"
        picture.unlink()
        picture.write_bytes(SECRET.ljust(len(kept), b"x"))
        os.utime(picture, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        yield "a file of the same size and time"
        picture.unlink()
        shutil.move(folder, folder.with_name("moved"))
        folder.mkdir()
        yield "no file at all"

    for swap in swaps():
        for place in (address, address + "&download=1", rocket["thumbnail"] + "&size=720"):
            answer = server.get(place)
            assert answer.status_code == 404, swap
            assert SECRET not in answer.content
        packed = server.post("/api/zip", json={"ids": [rocket["id"]]})
        assert SECRET not in packed.content and b"root:" not in packed.content, swap


def test_page_files_are_the_page_s_alone(server: TestClient) -> None:
    assert (PAGE / "index.html").exists()
    assert server.get("/").status_code == 200
    for path in ("/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "//etc/passwd", "/.git/config"):
        assert server.get(path).status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8017", "127.0.0.1.evil.example", "192.168.1.5", "", "["]
)
def test_another_host_name_is_refused(server: TestClient, host: str) -> None:
    assert server.get("/api/status", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://[", "sec-fetch-site": "none"},
    ],
)
def test_a_page_of_elsewhere_can_change_nothing(
    server: TestClient, headers: dict[str, str]
) -> None:
    for method, path in (
        ("POST", "/api/indexing"),
        ("DELETE", "/api/indexing"),
        ("POST", "/api/uploads"),
        ("POST", "/api/zip"),
        ("POST", "/api/search"),
    ):
        assert server.request(method, path, headers=headers).status_code == 403


def test_the_own_page_and_programs_may_ask(server: TestClient) -> None:
    for headers in ({}, {"sec-fetch-site": "same-origin", "origin": ADDRESS}):
        assert server.post("/api/search", json={"q": "cat"}, headers=headers).status_code == 200
    assert server.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200
    assert server.get("/api/status", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_every_answer_says_what_a_browser_may_do(server: TestClient) -> None:
    for path in ("/", "/api/status", "/api/nothing", "/api/pictures/1/thumbnail"):
        headers = server.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in server.get("/api/pictures/1/file").headers["content-security-policy"]


def test_others_need_the_token(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MmsearchError, match="token"):
        ServeSettings(tmp_path / "index", host="0.0.0.0")
    settings = ServeSettings(tmp_path / "index", host="0.0.0.0", token=TOKEN)
    with TestClient(create_app(settings), base_url="http://192.168.1.5:8017") as client:
        for shown in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            answer = client.get("/api/status", headers={"authorization": shown})
            assert answer.status_code == 401, shown
        for path in ("/api/search", "/api/pictures/1/file", "/api/openapi.json", "/api/events"):
            assert client.get(path).status_code == 401
        assert client.get("/").status_code == 200
        right = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/status", headers=right).status_code == 200
        assert client.get("/api/folders", headers=right).status_code == 403
        assert client.post("/api/login", json={"token": "wrong"}).status_code == 401
        assert client.post("/api/login", json={"token": TOKEN}).status_code == 204
        cookie = client.cookies["mmsearch_token"]
        assert TOKEN not in cookie
        assert client.get("/api/status").status_code == 200
        client.cookies.clear()
        entered = client.get("/", params={"token": TOKEN}, follow_redirects=False)
        assert entered.status_code == 303 and entered.headers["location"] == "/"
        assert "httponly" in entered.headers["set-cookie"].lower()
        assert "samesite=strict" in entered.headers["set-cookie"].lower()


def test_uploads_have_limits(folder: Path, tmp_path: Path, photos: Path) -> None:
    limits = Limits(upload_bytes=200_000, upload_pixels=100_000, uploads=2, body_bytes=1000)
    settings = ServeSettings(tmp_path / "index", limits=limits)
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        assert client.post("/api/uploads", content=bytes(200_001)).status_code == 413
        in_parts = (bytes(50_000) for _ in range(5))
        assert client.post("/api/uploads", content=in_parts).status_code == 413
        assert client.post("/api/search", content=b"{" + b" " * 1000).status_code == 413
        many_pixels = (photos / "rocket.jpg").read_bytes()
        assert client.post("/api/uploads", content=many_pixels).status_code == 413
        for nothing in (b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(100)):
            answer = client.post("/api/uploads", content=nothing)
            assert answer.status_code == 415, answer.text
        assert client.get("/api/uploads/nothing/thumbnail").status_code == 404


def test_too_many_requests_are_told_to_wait(folder: Path, tmp_path: Path) -> None:
    settings = ServeSettings(tmp_path / "index", limits=Limits(requests_a_s=0.5, burst=3))
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        statuses = [client.get("/api/status").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert int(client.get("/api/status").headers["retry-after"]) >= 1


def test_the_log_keeps_questions_to_itself_unless_asked(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for log_questions in (False, True):
        caplog.clear()
        settings = ServeSettings(tmp_path / "index", log_questions=log_questions)
        with (
            caplog.at_level("INFO", "mmsearch.access"),
            TestClient(create_app(settings), base_url=ADDRESS) as client,
        ):
            client.get("/api/search", params={"q": "zebras"})
        assert "/api/search" in caplog.text
        assert ("zebras" in caplog.text) is log_questions
