"""The command line as a person or a script meets it: real processes, real pictures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import COMMANDS
from retrieval.encoders.registry import load_encoder
from tests.support.small_rerankers import write_reranker

HEAVY = {"torch", "open_clip", "faiss", "onnxruntime", "transformers", "sqlalchemy", "numpy", "PIL"}


def mmsearch(
    *arguments: str | os.PathLike[str], index_dir: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    where = [] if index_dir is None else ["--index-dir", os.fspath(index_dir)]
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *where, *arguments],
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_help_answers_in_less_than_three_tenths_of_a_second() -> None:
    # By the processor's clock: the wall's counts what else a machine does.
    took = []
    for _ in range(5):
        before = os.times()
        assert mmsearch("--help").returncode == 0
        after = os.times()
        user = after.children_user - before.children_user
        took.append(user + after.children_system - before.children_system)
    assert min(took) < 0.3


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from cli.main import group; "
        "assert CliRunner().invoke(group, ['--help']).exit_code == 0; print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not HEAVY & set(found.stdout.split())


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    assert mmsearch(command, "--help").returncode == 0


def test_explain_says_where_each_word_was_found(photo_index: Path, tmp_path: Path) -> None:
    index_dir, page = tmp_path / "index", tmp_path / "page.html"
    shutil.copytree(photo_index, index_dir)
    write_reranker(index_dir / "reranker", load_encoder(), weight=0.005)
    asked = ("query", "a cup of coffee", "-k", "2", "--explain")
    shown = mmsearch(*asked, "--gallery", page, index_dir=index_dir)
    assert shown.returncode == 0, shown.stderr
    where = shown.stdout.decode().splitlines()[1].strip()
    assert where.startswith("cup: ") and "coffee: " in where and "of: " not in where
    assert page.read_text("utf-8").count('class="heat"') == 4
    records = json.loads(mmsearch(*asked, "--json", index_dir=index_dir).stdout)
    assert [heat["word"] for heat in records[0]["heat"]] == ["a", "cup", "of", "coffee"]
    assert len(records[0]["heat"][1]["grid"]) == 14


def test_reranking_can_be_left_out_and_an_unknown_reranker_is_refused(photo_index: Path) -> None:
    plain = mmsearch("query", "a cat", "--rerank", "off", "--json", index_dir=photo_index)
    assert all(hit["score"] == hit["similarity"] for hit in json.loads(plain.stdout))
    refused = mmsearch("query", "a cat", "--rerank", "clairvoyant", index_dir=photo_index)
    assert refused.returncode == 4
    assert b"no reranker called clairvoyant" in refused.stderr


def test_a_question_finds_the_picture_that_shows_it(photo_index: Path) -> None:
    found = mmsearch("query", "a cup of coffee", "-k", "1", index_dir=photo_index)
    assert found.returncode == 0
    assert found.stdout.decode().strip().endswith("coffee.png")


def test_json_answers_have_the_documented_keys(photo_index: Path) -> None:
    found = mmsearch("query", "a cat", "-k", "3", "--json", index_dir=photo_index)
    answers = json.loads(found.stdout)
    assert [answer["rank"] for answer in answers] == [1, 2, 3]
    assert set(answers[0]) == {
        "rank", "score", "similarity", "word_score", "relevance", "fits", "path", "width_px",
        "height_px", "taken_at", "metadata", "captions", "time_ms", "time", "span_ms",
    }  # fmt: skip
    assert answers[0]["path"].endswith("chelsea.png")


def test_a_picture_is_a_question_too(photo_index: Path, photos: Path) -> None:
    found = mmsearch(
        "query", "--image", photos / "coffee.png", "-k", "1", "--json", index_dir=photo_index
    )
    (answer,) = json.loads(found.stdout)
    assert answer["path"] == str(photos / "coffee.png")
    assert answer["score"] > 0.99


def test_paths_ended_by_nul_are_the_names_byte_for_byte(tmp_path: Path, photos: Path) -> None:
    name = b"caf\xe9\n.png"
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copyfile(photos / "coffee.png", os.fsencode(folder) + b"/" + name)
    index_dir = tmp_path / "index"
    assert mmsearch("index", folder, index_dir=index_dir).returncode == 0
    found = mmsearch("query", "coffee", "-0", index_dir=index_dir)
    assert found.stdout == os.fsencode(folder) + b"/" + name + b"\0"
    shown = mmsearch("query", "coffee", index_dir=index_dir)
    assert shown.stdout.count(b"\n") == 1
    assert b"caf\\xe9\\n.png" in shown.stdout
    assert mmsearch("query", "coffee", "--json", index_dir=index_dir).returncode == 0


def test_an_answer_can_be_kept_to_a_folder(tmp_path: Path, photos: Path, photo_index: Path) -> None:
    one = photos / "coffee.png"
    found = mmsearch("query", "a cat", "--in", one, "--json", index_dir=photo_index)
    assert [hit["path"] for hit in json.loads(found.stdout)] == [str(one)]
    elsewhere = mmsearch("query", "a cat", "--in", tmp_path, "--json", index_dir=photo_index)
    assert elsewhere.returncode == 1
    assert b"is indexed" in elsewhere.stderr


def test_asking_without_an_index_says_how_to_make_one(tmp_path: Path) -> None:
    found = mmsearch("query", "a cat", index_dir=tmp_path / "none")
    assert found.returncode == 2
    assert found.stdout == b""
    assert found.stderr.startswith(b"Error: There is no index")
    assert b"mmsearch index" in found.stderr


@pytest.mark.parametrize(
    "arguments", [["query"], ["query", "  "], ["frobnicate"], ["query", "-k0", "a"]]
)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments: list[str]) -> None:
    found = mmsearch(*arguments)
    assert found.returncode == 2
    assert b"Traceback" not in found.stderr


def test_another_model_than_the_index_has_exits_with_3(photo_index: Path, photos: Path) -> None:
    found = mmsearch("index", photos, "--model", "ViT-B-32/openai", index_dir=photo_index)
    assert found.returncode == 3
    assert b"compact" in found.stderr


def test_an_unknown_model_exits_with_4(tmp_path: Path, photos: Path) -> None:
    found = mmsearch("index", photos, "--model", "no-such-model", index_dir=tmp_path / "index")
    assert found.returncode == 4
    assert b"Traceback" not in found.stderr


def test_a_busy_index_exits_with_5(tmp_path: Path, photos: Path) -> None:
    from retrieval.storage.index_dir import resolve_index_dir
    from retrieval.storage.writer_lock import writer_lock

    with writer_lock(resolve_index_dir(tmp_path / "index")):
        found = mmsearch("index", photos, index_dir=tmp_path / "index")
    assert found.returncode == 5


def test_a_catalogue_that_is_no_database_exits_with_6(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"this is no database" * 100)
    found = mmsearch("status", index_dir=tmp_path)
    assert found.returncode == 6
    assert b"Traceback" not in found.stderr


def test_a_damaged_picture_fails_a_strict_run_only(tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copyfile(photos / "coffee.png", folder / "coffee.png")
    (folder / "broken.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:2000])
    index_dir = tmp_path / "index"
    lenient = mmsearch("index", folder, "--json", index_dir=index_dir)
    assert lenient.returncode == 0
    summary = json.loads(lenient.stdout)
    assert (summary["new"], summary["failed"]) == (1, 1)
    assert mmsearch("index", folder, "--strict", index_dir=index_dir).returncode == 1
    listed = mmsearch("status", "--failures", index_dir=index_dir)
    assert b"broken.jpg: " in listed.stdout


def test_the_way_to_a_large_model_is_told_once(tmp_path: Path, photos: Path) -> None:
    index_dir = tmp_path / "index"
    first = mmsearch("index", photos, index_dir=index_dir)
    again = mmsearch("index", index_dir=index_dir)
    assert b"--model ViT-B-32/" in first.stdout
    assert b"--model" not in again.stdout
    assert again.returncode == 0
    assert first.stderr == b""


def test_a_moved_folder_is_followed_and_a_removed_one_forgotten(
    tmp_path: Path, photos: Path
) -> None:
    old, new, index_dir = tmp_path / "old", tmp_path / "new", tmp_path / "index"
    shutil.copytree(photos, old)
    assert mmsearch("index", old, index_dir=index_dir).returncode == 0
    old.rename(new)
    assert mmsearch("move", old, new, index_dir=index_dir).returncode == 0
    status = json.loads(mmsearch("status", "--json", index_dir=index_dir).stdout)
    assert [folder["path"] for folder in status["folders"]] == [str(new)]
    assert mmsearch("remove", "--yes", new, index_dir=index_dir).returncode == 0
    status = json.loads(mmsearch("status", "--json", index_dir=index_dir).stdout)
    assert (status["pictures"], status["folders"]) == (0, [])


def test_status_tells_how_much_of_the_index_is_a_cache(photo_index: Path) -> None:
    status = json.loads(mmsearch("status", "--json", index_dir=photo_index).stdout)
    files = {file.name: file.stat().st_size for file in photo_index.iterdir()}
    assert status["tokens_bytes"] >= files["tokens.sqlite"] > 15_000 * status["pictures"]
    assert status["size_bytes"] >= sum(files.values()) > status["tokens_bytes"]
    assert b"of which patch tokens" in mmsearch("status", index_dir=photo_index).stdout


def test_remove_asks_first(tmp_path: Path, photo_index: Path, photos: Path) -> None:
    found = mmsearch("remove", photos, index_dir=photo_index)
    assert found.returncode != 0
    status = json.loads(mmsearch("status", "--json", index_dir=photo_index).stdout)
    assert status["pictures"] > 0


def test_a_gallery_needs_no_other_file_and_escapes_names(tmp_path: Path, photo_index: Path) -> None:
    page = tmp_path / "gallery.html"
    found = mmsearch("query", "<b>a cat</b>", "--gallery", page, index_dir=photo_index)
    assert found.returncode == 0
    text = page.read_text("utf-8")
    assert "<b>a cat" not in text
    assert "&lt;b&gt;a cat" in text
    assert "data:image/jpeg;base64," in text
    # Links lead to the pictures' files, and nowhere else.
    assert "http://" not in text and "https://" not in text


def test_a_gallery_parts_what_fits_from_what_does_not_and_tells_words_not_found(
    tmp_path: Path, photo_index: Path
) -> None:
    page = tmp_path / "gallery.html"
    mmsearch("query", "a", "cat", "--explain", "--gallery", page, index_dir=photo_index)
    text = page.read_text("utf-8")
    fitting, cut, weak = text.partition('<p class="cut">')
    assert cut and 'class="weak"' in weak
    assert "chelsea.png" in fitting and "chelsea.png" not in weak
    assert text.count('data-word="cat"') >= 2
    assert "cat: not found" in weak and "cat: not found" not in fitting
