from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mmsearch import Query, SearchEngine


def _id_of(client: TestClient, name: str) -> int:
    hits = client.get("/api/search", params={"filter": f"name:{name}"}).json()["hits"]
    return int(hits[0]["id"])


@pytest.mark.parametrize("text", ["a cat", "a rocket on its launch pad", "coffee without people"])
def test_the_service_answers_as_the_engine_does(
    client: TestClient, photo_index: Path, text: str
) -> None:
    with SearchEngine.open(photo_index) as engine:
        expected = engine.search(text, k=7, fold=True)
    hits = client.get("/api/search", params={"q": text, "k": 7}).json()["hits"]
    assert [(hit["path"], hit["score"], hit["fits"]) for hit in hits] == [
        (str(hit.path), hit.score, hit.fits) for hit in expected
    ]


def test_conditions_alone_list_what_fits_and_a_bad_one_is_a_sentence(client: TestClient) -> None:
    found = client.get("/api/search", params={"q": "type:png", "k": 100}).json()
    assert found["mode"] == "browse" and found["hits"]
    assert all(hit["path"].endswith(".png") for hit in found["hits"])
    everything = client.get("/api/search", params={"k": 100}).json()["hits"]
    assert len(everything) == client.get("/api/status").json()["pictures"]
    answer = client.get("/api/search", params={"q": "a cat rating:many"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "query"


def test_pages_follow_one_another(client: TestClient) -> None:
    whole = client.get("/api/search", params={"q": "a cat", "k": 10, "fold": False}).json()["hits"]
    second = client.get(
        "/api/search", params={"q": "a cat", "k": 5, "offset": 5, "fold": False}
    ).json()["hits"]
    assert second == whole[5:]


def test_an_uploaded_picture_finds_itself_and_is_composed_with_words(
    client: TestClient, photos: Path, photo_index: Path
) -> None:
    cat = (photos / "chelsea.png").read_bytes()
    answer = client.post("/api/uploads", content=cat, headers={"content-type": "image/png"})
    assert answer.status_code == 201
    name = answer.json()["upload"]
    hits = client.get("/api/search", params={"upload": name, "k": 3}).json()["hits"]
    assert hits[0]["name"] == "chelsea.png"
    composed = client.post("/api/search", json={"q": "coffee", "upload": [name], "k": 3})
    assert composed.status_code == 200 and composed.json()["question"] is None
    small = Image.open(io.BytesIO(client.get(f"/api/uploads/{name}/thumbnail").content))
    assert small.format == "WEBP" and max(small.size) <= 360


def test_more_like_this_and_less_like_that_move_the_answers(
    client: TestClient, photo_index: Path
) -> None:
    cat, rocket = _id_of(client, "chelsea.png"), _id_of(client, "rocket.jpg")
    asked = {"like": [cat], "not_like": [rocket], "k": 5, "fold": False}
    hits = client.post("/api/search", json=asked).json()["hits"]
    with SearchEngine.open(photo_index) as engine:
        vectors = engine.catalog.vectors([cat, rocket])
        query = Query.of(vectors[cat].astype("f4")).minus(vectors[rocket].astype("f4"))
        expected = engine.search(query, 5)
    assert [hit["id"] for hit in hits] == [hit.item_id for hit in expected]


def test_thumbnails_are_small_upright_and_without_exif(client: TestClient) -> None:
    hit = client.get("/api/search", params={"q": "a cat", "k": 1}).json()["hits"][0]
    first = client.get(hit["thumbnail"], headers={"accept": "image/webp"})
    image = Image.open(io.BytesIO(first.content))
    assert first.headers["content-type"] == "image/webp"
    assert image.size == (360, round(360 * hit["height_px"] / hit["width_px"]))
    assert not image.getexif() and "icc_profile" not in image.info
    assert "immutable" in first.headers["cache-control"]
    again = client.get(hit["thumbnail"], headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content
    modern = client.get(hit["thumbnail"], headers={"accept": "image/avif,image/webp"})
    assert len(modern.content) <= len(first.content)


def test_a_file_comes_whole_or_in_the_part_that_is_asked_for(
    client: TestClient, photos: Path
) -> None:
    data = (photos / "rocket.jpg").read_bytes()
    address = f"/api/pictures/{_id_of(client, 'rocket.jpg')}/file"
    whole = client.get(address)
    assert whole.content == data and whole.headers["content-type"] == "image/jpeg"
    part = client.get(address, headers={"range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == data[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    assert client.get(address, headers={"range": "bytes=-5"}).content == data[-5:]
    assert client.get(address, headers={"range": f"bytes={len(data)}-"}).status_code == 416
    assert client.get(address, headers={"range": "bytes=0-1,5-6"}).content == data
    for headers in ({}, {"range": "bytes=100-199"}):
        told, asked = client.get(address, headers=headers), client.head(address, headers=headers)
        assert (asked.status_code, asked.content) == (told.status_code, b"")
        for name in ("content-length", "content-type", "etag", "accept-ranges", "content-range"):
            assert asked.headers.get(name) == told.headers.get(name)
    assert client.head("/healthz").status_code == 200
    assert client.head("/api/pictures/999999/file").status_code == 404
    kept = client.get(address, params={"download": "1"})
    assert kept.headers["content-disposition"].startswith("attachment")


def test_words_are_found_in_the_picture_as_numbers_and_as_a_picture(client: TestClient) -> None:
    cat = _id_of(client, "chelsea.png")
    words = client.get(f"/api/pictures/{cat}/heat", params={"q": "a cat type:png"}).json()["words"]
    assert [one["word"] for one in words] == ["cat"]
    png = client.get(f"/api/pictures/{cat}/heat.png", params={"q": "a cat", "word": "cat"})
    assert Image.open(io.BytesIO(png.content)).mode == "RGBA"
    missing = client.get(f"/api/pictures/{cat}/heat.png", params={"q": "a cat", "word": "dog"})
    assert missing.status_code == 404


def test_similar_pictures_leave_the_picture_itself_out(client: TestClient) -> None:
    cat = _id_of(client, "chelsea.png")
    hits = client.get(f"/api/pictures/{cat}/similar", params={"k": 5}).json()["hits"]
    assert len(hits) == 5 and cat not in [hit["id"] for hit in hits]


def test_facets_count_and_their_terms_find_what_they_count(client: TestClient) -> None:
    facets = client.get("/api/facets").json()
    assert facets["total"] == client.get("/api/status").json()["pictures"]
    for kind in ("camera", "lens", "year", "month", "folder", "type", "orientation"):
        assert facets[kind]
        for value in facets[kind]:
            found = client.get("/api/search", params={"filter": value["term"], "k": 100}).json()
            assert len(found["hits"]) == value["count"], value
    months = client.get("/api/timeline").json()
    assert sum(one["count"] for one in months["months"]) + months["undated"] == facets["total"]
    places = client.get("/api/places").json()
    assert len(places["places"]) == places["total"] == facets["total"] - facets["unplaced"]


def test_an_archive_holds_the_very_files(client: TestClient, photos: Path) -> None:
    ids = [_id_of(client, "chelsea.png"), _id_of(client, "rocket.jpg"), 9999]
    answer = client.post("/api/zip", json={"ids": ids})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["chelsea.png", "rocket.jpg"]
        assert archive.read("rocket.jpg") == (photos / "rocket.jpg").read_bytes()
    by_form = client.post("/api/zip", data={"ids": ",".join(map(str, ids))})
    assert by_form.status_code == 200
    assert client.post("/api/zip", json={"ids": []}).status_code == 400


def test_a_picture_s_neighbours_are_those_beside_it_in_time(client: TestClient) -> None:
    newest = client.get("/api/search", params={"filter": "after:1990", "k": 100}).json()["hits"]
    by_time = [hit["id"] for hit in reversed(newest)]
    sides = client.get(f"/api/pictures/{by_time[1]}/neighbours", params={"n": 1}).json()
    assert [hit["id"] for hit in sides["before"]] == [by_time[0]]


def test_the_layout_holds_all_pictures_in_the_order_of_browsing(client: TestClient) -> None:
    newest = client.get("/api/search", params={"k": 100}).json()["hits"]
    layout = client.get("/api/layout").json()
    assert layout["ids"] == [hit["id"] for hit in newest]
    for hit, shape in zip(newest, layout["shapes"], strict=True):
        assert abs(shape - 100 * hit["width_px"] / hit["height_px"]) <= 0.5
    months = [month for month, count in layout["months"] for _ in range(count)]
    assert months == [hit["taken_at"][:7] if hit["taken_at"] else None for hit in newest]
    narrow = client.get("/api/layout", params={"q": "type:png", "filter": "is:landscape"}).json()
    found = client.get("/api/search", params={"filter": "type:png is:landscape", "k": 100}).json()
    assert narrow["ids"] == [hit["id"] for hit in found["hits"]] != []
    # Once more, from what was kept.
    assert client.get("/api/layout").json() == layout
    assert client.get("/api/layout", params={"q": "a cat"}).status_code == 400
    assert client.get("/api/layout", params={"filter": "rating:many"}).status_code == 400


def test_several_pictures_are_told_of_in_the_order_they_are_named(client: TestClient) -> None:
    hits = client.get("/api/search", params={"k": 3}).json()["hits"]
    ids = [hit["id"] for hit in reversed(hits)]
    found = client.get("/api/pictures", params={"ids": ",".join(map(str, [*ids, 9999, 0]))}).json()
    assert [hit["id"] for hit in found["hits"]] == ids
    assert found["hits"][0]["thumbnail"] == hits[-1]["thumbnail"]
    many = ",".join(map(str, range(1, 502)))
    assert client.get("/api/pictures", params={"ids": many}).status_code == 400
    for wrong in ("", "a", "1,", "-1", "1;2"):
        assert client.get("/api/pictures", params={"ids": wrong}).status_code in (400, 422)
