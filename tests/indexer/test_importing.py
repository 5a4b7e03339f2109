"""Vectors of other programs become items: those with a file here, and those without."""

from __future__ import annotations

import gzip
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer import (
    export_index,
    import_vectors,
    index_folders,
    move_root,
    preview_index,
    remove_folder,
)
from indexer.importing.models import encoder_name
from indexer.importing.source import name_of_source
from indexer.maintenance.check_files import check_files
from indexer.report import SilentProgress
from retrieval import SearchEngine
from retrieval.catalog import Catalog, Item
from retrieval.errors import EncoderMismatchError, MmsearchError
from retrieval.storage.index_dir import IndexDir
from samples.photos import copy_photos
from tests.support.foreign import immich_dump, write_clip_retrieval, write_rclip
from tests.support.small_encoder import ColorEncoder

DIM = 48


def made_up(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def stored(index_dir: Path) -> dict[Path, tuple[Item, np.ndarray]]:
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        ids = catalog.item_ids().tolist()
        vectors = catalog.vectors(ids)
        return {item.path: (item, vectors[id_]) for id_, item in catalog.items(ids).items()}


@pytest.fixture(scope="module")
def colored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, np.ndarray]]:
    """Photographs, and the vectors that `ColorEncoder` gives them."""
    folder = tmp_path_factory.mktemp("colored")
    copy_photos(folder)
    index_dir = tmp_path_factory.mktemp("index")
    index_folders([folder], index_dir, encoder=ColorEncoder())
    return folder, {path: vector for path, (_, vector) in stored(index_dir).items()}


def test_clip_retrievals_folders_are_read_with_captions_sizes_and_addresses(
    tmp_path: Path,
) -> None:
    vectors = made_up(7)
    columns: dict[str, list[Any]] = {
        "image_path": [f"00000000{place}" for place in range(7)],
        "caption": ["a red bicycle", *[None] * 6],
        "url": [f"https://example.org/{place}.jpg" for place in range(7)],
        "original_width": [640] * 7,
        "original_height": [480] * 7,
    }
    parts = [
        (vectors[:4], {name: values[:4] for name, values in columns.items()}),
        (vectors[4:], {name: values[4:] for name, values in columns.items()}),
    ]
    source = write_clip_retrieval(tmp_path / "laion", parts)
    report = import_vectors(source, tmp_path / "index", encoder=ColorEncoder())
    assert (report.here, report.elsewhere, report.likeness) == (0, 7, None)
    found = stored(tmp_path / "index")
    base = tmp_path / "index" / "elsewhere" / name_of_source(source)
    item, _ = found[base / "000000000"]
    assert (item.metadata.caption, item.width_px, item.height_px) == ("a red bicycle", 640, 480)
    assert item.metadata.url == "https://example.org/0.jpg"
    for place in range(7):
        assert np.abs(found[base / f"00000000{place}"][1] - vectors[place]).max() < 1e-3
    with SearchEngine.open(tmp_path / "index", encoder=ColorEncoder()) as engine:
        assert engine.search("bicycle", match="words")[0].path == base / "000000000"
    # Again: the same items, not twice as many.
    again = import_vectors(source, tmp_path / "index", encoder=ColorEncoder())
    assert again.elsewhere == 7 and len(stored(tmp_path / "index")) == 7


def test_datasets_that_are_called_alike_do_not_overwrite_each_other(tmp_path: Path) -> None:
    vectors = made_up(6)
    for place, owner in enumerate(("ours", "theirs")):
        names = {"image_path": [f"00000000{row}" for row in range(3)]}
        (tmp_path / owner).mkdir()
        source = write_clip_retrieval(
            tmp_path / owner / "embeddings", [(vectors[3 * place :][:3], names)]
        )
        import_vectors(source, tmp_path / "index", encoder=ColorEncoder())
    found = [vector for _, vector in stored(tmp_path / "index").values()]
    assert len(found) == 6
    assert all(min(np.abs(one - vector).max() for vector in found) < 1e-3 for one in vectors)


def test_pictures_that_are_here_are_items_like_any_other_and_are_not_encoded(
    tmp_path: Path, colored: tuple[Path, dict[Path, np.ndarray]]
) -> None:
    folder, vectors = colored
    paths = sorted(vectors)
    source = write_rclip(
        tmp_path / "db.sqlite3",
        {str(path): vectors[path] for path in paths} | {"/nowhere/at all/x.jpg": made_up(1)[0]},
    )
    encoder = ColorEncoder()
    index_dir = tmp_path / "index"
    report = import_vectors(source, index_dir, encoder=encoder)
    assert (report.here, report.elsewhere) == (len(paths), 1)
    assert report.likeness is not None and report.likeness > 0.999
    # Those that were compared, and no other.
    assert encoder.seen == 16
    found = stored(index_dir)
    assert set(found) == {*paths, Path("/nowhere/at all/x.jpg")}
    for path in paths:
        assert np.abs(found[path][1] - vectors[path]).max() < 1e-3
    seen = encoder.seen
    run = index_folders([folder, "/nowhere/at all"], index_dir, encoder=encoder)
    assert (run.unchanged, run.new, run.removed, run.absent_roots) == (len(paths), 0, 0, [])
    assert encoder.seen == seen
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        looked_at = check_files(catalog, SilentProgress(), with_content=True)
    assert (looked_at.missing, looked_at.altered, looked_at.absent_roots) == ([], [], [])
    assert preview_index(["/nowhere/at all"], index_dir).absent_roots == []


def test_vectors_of_another_model_are_refused_before_anything_is_written(
    tmp_path: Path, colored: tuple[Path, dict[Path, np.ndarray]]
) -> None:
    _, vectors = colored
    wrong = dict(zip(map(str, sorted(vectors)), made_up(len(vectors)), strict=True))
    source = write_rclip(tmp_path / "db.sqlite3", wrong)
    with pytest.raises(MmsearchError, match="not of colours") as caught:
        import_vectors(source, tmp_path / "index", encoder=ColorEncoder())
    assert caught.value.code == "import-mismatch"
    assert stored(tmp_path / "index") == {}
    assert import_vectors(
        source, tmp_path / "index", encoder=ColorEncoder(), check=False
    ).here == len(vectors)


def test_pictures_of_elsewhere_leave_and_move_as_others_do(tmp_path: Path) -> None:
    vectors = made_up(3)
    names = [f"/volumes of others/trip/{name}.jpg" for name in "abc"]
    source = write_rclip(tmp_path / "db.sqlite3", dict(zip(names, vectors, strict=True)))
    index_dir = tmp_path / "index"
    import_vectors(source, index_dir, encoder=ColorEncoder())
    remove_folder(names[0], index_dir)
    assert {str(path) for path in stored(index_dir)} == set(names[1:])
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    shutil.copy(copy_photos(tmp_path / "photos")[0], arrived / "b.jpg")
    assert move_root("/volumes of others/trip", arrived, index_dir) == 2
    run = index_folders([arrived], index_dir, encoder=ColorEncoder())
    # From now on they are looked for: one is read, the other is not there.
    assert (run.changed, run.removed) == (1, 1)
    remove_folder(arrived, index_dir)
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        assert catalog.elsewhere() == [] and catalog.roots() == []


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_dump_of_immich_tells_paths_facts_and_the_model(
    tmp_path: Path, is_compressed: bool
) -> None:
    vectors = made_up(2)
    dump = immich_dump(
        [("1", "/usr/src/app/upload/a.jpg", vectors[0]), ("2", "/ext/b.jpg", vectors[1])],
        model="ViT-L-14__laion2b_s32b_b82k",
    )
    path = tmp_path / ("dump.sql.gz" if is_compressed else "dump.sql")
    path.write_bytes(gzip.compress(dump.encode()) if is_compressed else dump.encode())
    index_dir = tmp_path / "index"
    report = import_vectors(path, index_dir, encoder=ColorEncoder())
    assert report.elsewhere == 2
    found = stored(index_dir)
    item, vector = found[index_dir / "elsewhere/immich/usr/src/app/upload/a.jpg"]
    assert np.abs(vector - vectors[0]).max() < 1e-3
    facts = item.metadata
    assert (facts.camera_model, facts.rating, facts.latitude) == ("X100V", 5, 48.1)
    assert facts.taken_at == datetime(2024, 5, 1, 10, 11, 12)
    assert (facts.caption, item.width_px) == ("a tab\there\\\n", 6240)
    from indexer.importing.immich import ImmichSource

    assert ImmichSource(path).model == "ViT-L-14/laion2b_s32b_b82k"


@pytest.mark.parametrize(
    ("factory", "ids"),
    [
        ("Flat", "names.txt"),
        ("IDMap,Flat", "names.npy"),
        ("HNSW8", "names.parquet"),
        ("PCAR32,IVF2,SQ8", "names.txt"),
    ],
)
def test_a_faiss_index_is_read_with_the_names_of_its_pictures(
    tmp_path: Path, factory: str, ids: str
) -> None:
    vectors = made_up(300)
    index = faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    if factory.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(300))
    else:
        index.add(vectors)
    faiss.write_index(index, str(tmp_path / "image.index"))
    names = [f"shelf/{place}.jpg" for place in range(300)]
    if ids.endswith("txt"):
        (tmp_path / ids).write_text("\n".join(names) + "\n")
    elif ids.endswith("npy"):
        np.save(tmp_path / ids, np.array(names))
    else:
        pq.write_table(pa.table({"image_path": names}), tmp_path / ids)
    index_dir = tmp_path / "index"
    import_vectors(tmp_path / "image.index", index_dir, ids=tmp_path / ids, encoder=ColorEncoder())
    found = stored(index_dir)
    base = index_dir / "elsewhere" / name_of_source(tmp_path / "image.index")
    cosines = [float(found[base / name][1] @ vectors[row]) for row, name in enumerate(names)]
    assert len(found) == 300
    assert min(cosines) > (0.999 if "PCA" not in factory else 0.5)


def test_what_is_exported_comes_back_the_same(
    tmp_path: Path, colored: tuple[Path, dict[Path, np.ndarray]], photos: Path
) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    source = write_clip_retrieval(
        tmp_path / "laion",
        [(made_up(5), {"image_path": [f"k{place}" for place in range(5)], "caption": ["cat"] * 5})],
    )
    import_vectors(source, first, encoder=ColorEncoder())
    index_folders([colored[0]], first, encoder=ColorEncoder())
    for layout, index_dir in (("parquet", second), ("npy", third)):
        out = tmp_path / layout
        report = export_index(out, first, layout=layout, rows_a_shard=7)  # type: ignore[arg-type]
        assert report.pictures == len(stored(first))
        import_vectors(out, index_dir, encoder=ColorEncoder())
        before = {str(p).rpartition("/")[2]: found for p, found in stored(first).items()}
        after = {str(p).rpartition("/")[2]: found for p, found in stored(index_dir).items()}
        assert before.keys() == after.keys()
        for name, (item, vector) in before.items():
            # One rounding more at most, of unit length to float16.
            assert np.abs(after[name][1].astype(float) - vector).max() <= 2**-11
            assert after[name][0].metadata == item.metadata
            assert after[name][0].width_px == item.width_px
    table = pq.read_table(tmp_path / "parquet")
    assert table.schema.metadata[b"mmsearch.model"] == b"colours"
    with pytest.raises(MmsearchError, match="not empty"):
        export_index(tmp_path / "npy", first)


def test_tars_hold_pictures_facts_and_vectors(
    tmp_path: Path, colored: tuple[Path, dict[Path, np.ndarray]]
) -> None:
    import webdataset

    folder, vectors = colored
    index_dir = tmp_path / "index"
    index_folders([folder], index_dir, encoder=ColorEncoder())
    gone = sorted(folder.iterdir())[0]
    kept = gone.read_bytes()
    gone.unlink()
    try:
        report = export_index(tmp_path / "out", index_dir, layout="webdataset", rows_a_shard=10)
    finally:
        gone.write_bytes(kept)
    assert report.bare == 1 and report.shards == -(-len(vectors) // 10)
    tars = sorted(map(str, (tmp_path / "out").glob("*.tar")))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode())
    assert len(samples) == len(vectors)
    for sample in samples:
        path = Path(sample["json"]["path"])
        assert np.array_equal(sample["npy"], vectors[path])
        if path != gone:
            assert sample[path.suffix[1:]] is not None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ViT-B/32", "ViT-B-32-quickgelu/openai"),
        ("ViT-L/14@336px", "ViT-L-14-336-quickgelu/openai"),
        ("RN50", "RN50-quickgelu/openai"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-B-32__openai", "ViT-B-32-quickgelu/openai"),
        ("ViT-H-14-378-quickgelu__dfn5b", "ViT-H-14-378-quickgelu/dfn5b"),
        ("compact", "compact"),
    ],
)
def test_names_of_models_are_those_of_open_clip(theirs: str, ours: str) -> None:
    assert encoder_name(theirs) == ours
    if "/" in ours:
        import open_clip

        name, tag = ours.split("/")
        assert tag in open_clip.list_pretrained_tags_by_model(name)


def test_what_cannot_be_imported_is_told_in_a_sentence(tmp_path: Path) -> None:
    parts = [(made_up(3), {"image_path": ["a", "b", "c"]})]
    source = write_clip_retrieval(tmp_path / "laion", parts)
    with pytest.raises(MmsearchError, match="does not say with which model"):
        import_vectors(source, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    with pytest.raises(EncoderMismatchError, match="48 dimensions"):
        import_vectors(source, tmp_path / "index", model="compact")
    pq.write_table(pa.table({"image_path": ["a"]}), source / "metadata" / "metadata_0.parquet")
    with pytest.raises(MmsearchError, match="has 1 rows"):
        import_vectors(source, tmp_path / "index", encoder=ColorEncoder())
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("nothing of the sort")
    for wrong in ("missing", "empty", "text"):
        with pytest.raises(MmsearchError, match="cannot be imported"):
            import_vectors(tmp_path / wrong, tmp_path / "index", encoder=ColorEncoder())


def test_vectors_of_no_length_are_passed_over(tmp_path: Path) -> None:
    vectors = made_up(4)
    vectors[1] = 0
    vectors[2, 0] = np.nan
    parts = [(vectors, {"image_path": list("abcd")})]
    source = write_clip_retrieval(tmp_path / "laion", parts)
    report = import_vectors(source, tmp_path / "index", encoder=ColorEncoder())
    assert (report.elsewhere, report.skipped) == (2, 2)
