"""What a picture's file says of itself is in the index, and comes again when the file says more."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from indexer import back_up, index_folders, restore
from retrieval.catalog import Catalog
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.facts import ImageMetadata
from retrieval.search.engine import SearchEngine
from tests.retrieval.images import metadata_samples as samples
from tests.support.old_catalogs import to_version_1
from tests.support.small_encoder import ColorEncoder

PACKET = samples.xmp(
    samples.bag("dc:subject", ["pier", "sea"])
    + samples.languages("dc:title", {"x-default": "Pier"}),
    'xmp:Rating="4" tiff:Model="X100"',
)
FACTS = ImageMetadata(
    taken_at=datetime(2021, 7, 18, 16, 4, 5),
    camera_model="X100",
    rating=4,
    title="Pier",
    keywords=("pier", "sea"),
)


def write_picture(path: Path, *packets: bytes) -> Path:
    """A sound picture with EXIF and XMP data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2021:07:18 16:04:05"
    picture = Image.linear_gradient("L").convert("RGB")
    options = {"xmp": packets[0]} if packets else {}
    picture.save(path, "JPEG", exif=exif, **options)
    return path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    write_picture(tmp_path / "library" / "said.jpg", PACKET)
    return tmp_path / "library"


def facts_of(index_dir: Path, name: str) -> ImageMetadata:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        found = catalog.items(catalog.item_ids().tolist()).values()
        return next(item.metadata for item in found if item.path.name == name)


def test_a_hit_carries_what_its_file_says(library: Path, tmp_path: Path) -> None:
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    with SearchEngine.open(tmp_path / "index", encoder=ColorEncoder()) as engine:
        (hit,) = engine.search("anything")
    assert hit.metadata == FACTS
    assert hit.taken_at == FACTS.taken_at
    assert ImageMetadata.from_json(hit.metadata.to_json()) == FACTS


def test_the_guarded_process_reads_what_this_one_reads(library: Path) -> None:
    pool = DecoderPool(processes=1)
    try:
        data = (library / "said.jpg").read_bytes()
        assert pool.read_metadata(data) == FACTS
        assert pool.decode(data, ColorEncoder().preprocessing).metadata == FACTS
        assert pool.read_metadata(b"no picture") == ImageMetadata()
    finally:
        pool.close()


def test_new_words_in_a_file_are_learnt_and_old_ones_forgotten(
    library: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    index_folders([library], index_dir, encoder=ColorEncoder())
    write_picture(library / "said.jpg")
    index_folders([library], index_dir, encoder=ColorEncoder())
    assert facts_of(index_dir, "said.jpg") == ImageMetadata(taken_at=FACTS.taken_at)


def test_an_old_index_learns_all_facts_without_encoding(library: Path, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    index_folders([library], index_dir, encoder=ColorEncoder())
    to_version_1(index_dir / "catalog.sqlite")
    encoder = ColorEncoder()
    index_folders([library], index_dir, encoder=encoder)
    assert encoder.seen == 0
    assert facts_of(index_dir, "said.jpg") == FACTS


def test_a_copy_and_a_moved_file_keep_their_facts(library: Path, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    index_folders([library], index_dir, encoder=ColorEncoder())
    (library / "copy.jpg").write_bytes((library / "said.jpg").read_bytes())
    encoder = ColorEncoder()
    assert index_folders([library], index_dir, encoder=encoder).new == 1
    (library / "said.jpg").rename(library / "moved.jpg")
    assert index_folders([library], index_dir, encoder=encoder).moved == 1
    assert encoder.seen == 0
    assert facts_of(index_dir, "copy.jpg") == facts_of(index_dir, "moved.jpg") == FACTS


def test_a_backup_of_an_old_version_takes_the_place_of_an_index_of_this_one(
    library: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    index_folders([library], index_dir, encoder=ColorEncoder())
    back_up(tmp_path / "backup", index_dir)
    to_version_1(tmp_path / "backup")
    write_picture(library / "later.jpg", PACKET)
    index_folders([library], index_dir, encoder=ColorEncoder())
    assert restore(tmp_path / "backup", index_dir, replace=True).images == 1
    encoder = ColorEncoder()
    index_folders([library], index_dir, encoder=encoder)
    # The later picture has the same pixels and another content.
    assert encoder.seen <= 1
    assert facts_of(index_dir, "said.jpg") == FACTS


def test_no_row_of_a_damaged_old_index_is_lost_that_can_be_read(
    library: Path, tmp_path: Path
) -> None:
    from indexer import repair_catalog

    for number in range(40):
        Image.effect_noise((32, 32), 80).save(library / f"{number:0150}.png")
    index_dir = tmp_path / "index"
    index_folders([library], index_dir, encoder=ColorEncoder())
    path = index_dir / "catalog.sqlite"
    to_version_1(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'pictures'")
        number = page.fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((number - 1) * size)
        content = file.read(1)
        # A tree's inner page: the rows stand in its leaves.
        assert content == b"\x05", content
        file.seek((number - 1) * size)
        file.write(os.urandom(size))
    assert repair_catalog(index_dir).lost_pictures == 0
    encoder = ColorEncoder()
    index_folders([library], index_dir, encoder=encoder)
    assert encoder.seen == 0
    assert facts_of(index_dir, "said.jpg") == FACTS
