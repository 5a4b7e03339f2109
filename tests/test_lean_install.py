"""Without torch and open_clip the built-in model works, and the rest says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_WITHOUT = """
import sys
for name in ("torch", "open_clip", "torchvision", "transformers", "onnx", "fastapi", "mcp", "av"):
    sys.modules[name] = None
from cli.main import main
main()
"""


def lean(*arguments: str | Path, index_dir: Path) -> subprocess.CompletedProcess[str]:
    """The program as it is where none of the large packages is installed."""
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, "--index-dir", index_dir, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_built_in_model_indexes_reranks_and_explains(photos: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    made = lean("index", photos / "coffee.png", photos / "rocket.jpg", index_dir=index)
    assert made.returncode == 0, made.stderr
    found = lean("query", "a cup of coffee", "--explain", "-k", "1", index_dir=index)
    assert found.returncode == 0, found.stderr
    assert "coffee.png" in found.stdout and "cup:" in found.stdout
    assert lean("status", index_dir=index).returncode == 0
    assert lean("models", index_dir=index).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["index", "PHOTOS", "--model", "ViT-B-32/laion2b_s34b_b79k"], "clip"),
        (["models", "--all"], "clip"),
        (["query", "a cat", "--rerank", "coca_ViT-B-32/laion2b_s13b_b90k"], "clip"),
        (["query", "a cat", "--rerank", "blip"], "blip"),
        (["index", "PHOTOS", "--model", "vit-bert:google/vit-base-patch16-224+b"], "vit-bert"),
        (["train-reranker", "CAPTIONS", "--images", "PHOTOS"], "export"),
        (["serve"], "web"),
        (["mcp"], "mcp"),
    ],
)
def test_what_needs_more_says_in_one_sentence_what_to_install(
    photos: Path, photo_index: Path, tmp_path: Path, arguments: list[str], extra: str
) -> None:
    captions = tmp_path / "captions.tsv"
    captions.write_text("image\tcaption\ncoffee.png\ta cup of coffee\n")
    named = {"PHOTOS": photos, "CAPTIONS": captions}
    index = tmp_path / "index" if arguments[0] == "index" else photo_index
    done = lean(*[named.get(one, one) for one in arguments], index_dir=index)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f'pip install "mmsearch[{extra}]"' in done.stderr


def test_a_video_is_a_failure_that_names_its_extra(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    made = lean("index", tmp_path / "videos", index_dir=tmp_path / "index")
    assert made.returncode == 0, made.stderr
    said = lean("status", "--failures", index_dir=tmp_path / "index").stdout
    assert "mmsearch[video]" in said
