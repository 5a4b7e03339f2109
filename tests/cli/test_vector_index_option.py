"""How vectors are searched can be chosen, is kept, and is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import group


@pytest.fixture
def index_dir(photo_index: Path, tmp_path: Path) -> Path:
    shutil.copytree(photo_index, tmp_path / "index")
    return tmp_path / "index"


def run(index_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        group, ["--index-dir", str(index_dir), *arguments], catch_exceptions=False
    )


def status(index_dir: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(run(index_dir, "status", "--json").stdout)
    return found


def test_a_chosen_vector_index_is_kept_until_another_is_chosen(index_dir: Path) -> None:
    assert status(index_dir)["vector_index"] == "SQfp16"
    before = json.loads(run(index_dir, "query", "a cat", "--json").stdout)
    assert run(index_dir, "index", "--vector-index", "hnsw", "--json").exit_code == 0
    for arguments in ([], ["index", "--json"]):
        if arguments:
            run(index_dir, *arguments)
        found = status(index_dir)
        assert (found["vector_index"], found["vector_index_choice"]) == ("HNSW32,SQ8", "hnsw")
    after = json.loads(run(index_dir, "query", "a cat", "--json").stdout)
    assert after[0]["path"] == before[0]["path"]
    assert "HNSW32,SQ8 with efSearch" in run(index_dir, "status").stdout
    for path in index_dir.glob("vectors*"):
        path.unlink()
    run(index_dir, "query", "a cat")
    assert status(index_dir)["vector_index"] == "HNSW32,SQ8"
    run(index_dir, "index", "--vector-index", "auto", "--json")
    assert status(index_dir)["vector_index"] == "SQfp16"


def test_an_unknown_vector_index_is_refused_with_the_names_of_those_there_are(
    index_dir: Path,
) -> None:
    refused = run(index_dir, "index", "--vector-index", "annoy")
    assert refused.exit_code == 2
    assert "hnsw" in refused.output
