"""Labels are read or refused by the line, and fit where they stand out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import SearchEngine
from retrieval.errors import LabelError
from retrieval.organise.kept_vectors import KeptVectors
from retrieval.organise.labels import Label, fitting, read_labels, standing_out


def test_a_label_is_a_name_and_its_phrases(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("# mine\ndog\n\n pets : a dog | a cat \nwith space\n", "utf-8")
    assert read_labels(file) == [
        Label("dog", ("dog",)),
        Label("pets", ("a dog", "a cat")),
        Label("with space", ("with space",)),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "holds no labels"),
        (b"# nothing\n", "holds no labels"),
        (b"dog\n: a cat", "Line 2"),
        (b"dog:", "Line 1"),
        (b"dog: a | | b", "Line 1"),
        (b"dog\ncat\nDog: a dog", "Line 3"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_what_is_no_label_is_named_by_its_line(text: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(text)
    with pytest.raises(LabelError, match=told):
        read_labels(file)
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "missing.txt")


@given(st.floats(0.1, 10), st.floats(-1, 1))
def test_the_scale_of_scores_does_not_matter(spread: float, shift: float) -> None:
    rng = np.random.default_rng(1)
    pictures = rng.normal(size=(4, 8)).astype(np.float32)
    phrases, common = (rng.normal(size=(n, 8)).astype(np.float32) for n in (3, 50))
    # One dimension that is the same for all words shifts all scores of a picture.
    wider = [
        np.hstack([rows, np.full((len(rows), 1), 1, np.float32)]) for rows in (phrases, common)
    ]
    moved = np.hstack([pictures * spread, np.full((4, 1), shift, np.float32)])
    assert np.allclose(
        standing_out(pictures, phrases, common), standing_out(moved, *wider), atol=1e-2
    )


def test_a_label_fits_what_it_names_and_a_stricter_threshold_less(photo_index: Path) -> None:
    labels = [Label("cat", ("cat",)), Label("animals", ("a submarine", "a cat"))]
    with SearchEngine.open(photo_index) as engine:
        kept = KeptVectors.read(engine.catalog)
        names = {i: item.path.stem for i, item in engine.catalog.items(kept.ids.tolist()).items()}
        lenient = fitting(labels, kept, engine.encoder, 2.5)
        strict = fitting(labels, kept, engine.encoder, 3.3)
        assert [len(fit.ids) for fit in fitting(labels, kept, engine.encoder, 99)] == [0, 0]
    best = lenient[0].ids[lenient[0].scores.argmax()]
    assert names[int(best)] == "chelsea"
    # Any of its phrases is enough.
    assert set(lenient[0].ids) <= set(lenient[1].ids)
    for some, all_ in zip(strict, lenient, strict=True):
        assert set(some.ids) <= set(all_.ids)
        assert (some.scores >= 3.3).all()
