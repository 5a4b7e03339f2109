"""Tags of labels: stored beside keywords, found by filters, replaced and removed, never lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from indexer import count_tags, index_folders, remove_tags, tag_pictures
from retrieval import MmsearchError, SearchEngine
from retrieval.catalog import Catalog
from retrieval.organise.labels import Label
from retrieval.query.parse import parse_filter
from retrieval.storage.index_dir import resolve_index_dir

# So low that it fits everything: what is tested is what becomes of tags.
ANY = -100.0
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>pets</rdf:li></rdf:Bag>
 </dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def index_dir(photos: Path, tmp_path: Path) -> Path:
    """An index of four pictures, of which one has the keyword `pets` in its file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png"):
        with Image.open(photos / name) as image:
            small = image.convert("RGB").resize((200, 150))
        small.save(folder / f"{Path(name).stem}.jpg", xmp=XMP if name == "coffee.png" else b"")
    index_folders([folder], tmp_path / "index")
    return tmp_path / "index"


def found(index_dir: Path, condition: str) -> list[str]:
    with SearchEngine.open(index_dir) as engine:
        return sorted(hit.path.stem for hit in engine.browse(condition))


def test_a_tag_is_a_condition_and_keywords_stay(index_dir: Path) -> None:
    cats = parse_filter("name:chelsea*")
    [dry] = tag_pictures(
        [Label("pets", ("a cat",))], index_dir, filter=cats, threshold=ANY, dry_run=True
    )
    assert (dry.name, dry.pictures) == ("pets", 1)
    assert found(index_dir, "tag:pets") == ["coffee"]
    tag_pictures([Label("pets", ("a cat",))], index_dir, filter=cats, threshold=ANY)
    assert found(index_dir, "tag:pets") == ["chelsea", "coffee"]
    assert count_tags(index_dir) == {"pets": 1}
    with SearchEngine.open(index_dir) as engine:
        assert [hit.metadata.keywords for hit in engine.browse("name:chelsea*")] == [()]
        # The vector index follows.
        assert len(engine.search("a cat", k=10)) == 4
    assert remove_tags(["PETS"], index_dir) == {"pets": 1}
    assert found(index_dir, "tag:pets") == ["coffee"]
    with pytest.raises(MmsearchError, match="No label has tagged a picture pets"):
        remove_tags(["pets"], index_dir)


def test_labels_given_again_replace_what_they_had_tagged(index_dir: Path) -> None:
    both = [Label("one", ("a cat",)), Label("two", ("a rocket",))]
    tag_pictures(both, index_dir, threshold=ANY)
    assert count_tags(index_dir) == {"one": 4, "two": 4}
    tag_pictures(both[:1], index_dir, threshold=100.0)
    assert count_tags(index_dir) == {"two": 4}
    # With a filter, only among what fits it.
    tag_pictures(both[1:], index_dir, filter=parse_filter("name:rocket*"), threshold=100.0)
    assert count_tags(index_dir) == {"two": 3}
    assert remove_tags(None, index_dir) == {"two": 3}
    assert remove_tags(None, index_dir) == {}


def test_tags_outlive_a_file_that_is_only_touched_and_not_one_that_changes(
    index_dir: Path, photos: Path
) -> None:
    tag_pictures([Label("one", ("a cat",))], index_dir, threshold=ANY)
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        [folder] = [root.path for root in catalog.roots()]
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        files = catalog.file_ids_of(catalog.item_ids().tolist())
        with catalog.transaction() as change:
            change.mark_unread(files)
    index_folders([folder], index_dir)
    assert count_tags(index_dir) == {"one": 4}
    assert found(index_dir, "tag:pets") == ["coffee"]
    with Image.open(photos / "camera.png") as image:
        image.convert("RGB").save(folder / "rocket.jpg")
    index_folders([folder], index_dir)
    assert count_tags(index_dir) == {"one": 3}
