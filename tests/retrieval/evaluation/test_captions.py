"""Reading captioned picture sets in the three formats people have them in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.evaluation.captions import CaptionedImage, CaptionsError, read_captions


def _write(tmp_path: Path, text: str, name: str = "captions.tsv") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_table_gives_each_picture_once_with_all_its_captions(tmp_path: Path) -> None:
    file = _write(tmp_path, "image\tcaption\na.jpg\tA cat\nb.jpg\tA cup\na.jpg\tA  grey cat\n")
    assert read_captions(file) == [
        CaptionedImage("a.jpg", None, ("A cat", "A grey cat")),
        CaptionedImage("b.jpg", None, ("A cup",)),
    ]


def test_a_split_keeps_its_own_pictures(tmp_path: Path) -> None:
    file = _write(tmp_path, "image\tsplit\tcaption\na.jpg\ttrain\tA cat\nb.jpg\tdev\tA cup\n")
    assert [image.name for image in read_captions(file, split="dev")] == ["b.jpg"]


def test_quotation_marks_in_a_caption_mean_nothing(tmp_path: Path) -> None:
    file = _write(tmp_path, 'image\tcaption\na.jpg\t"Stop" says a sign\nb.jpg\tA 5" cup\n')
    assert [image.captions[0] for image in read_captions(file)] == [
        '"Stop" says a sign',
        'A 5" cup',
    ]


def test_empty_captions_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    file = _write(tmp_path, "image\tcaption\na.jpg\tA cat\n\na.jpg\t  \n")
    assert read_captions(file)[0].captions == ("A cat",)


def test_karpathys_json_is_read(tmp_path: Path) -> None:
    images = [
        {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "A cat."}, {"raw": "Cat"}]},
        {"filename": "b.jpg", "split": "test", "sentences": [{"raw": "A cup."}]},
        {"filepath": "val2014", "filename": "c.jpg", "split": "test", "sentences": [{"raw": "C"}]},
    ]
    file = _write(tmp_path, json.dumps({"images": images, "dataset": "flickr8k"}), "d.json")
    assert read_captions(file)[0] == CaptionedImage("a.jpg", "train", ("A cat.", "Cat"))
    assert [p.name for p in read_captions(file, split="test")] == ["b.jpg", "val2014/c.jpg"]


def test_coco_captions_are_read(tmp_path: Path) -> None:
    found = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 9, "id": 1, "caption": "A cup\n"},
            {"image_id": 7, "id": 2, "caption": "A cat"},
            {"image_id": 9, "id": 3, "caption": "Coffee"},
        ],
    }
    assert read_captions(_write(tmp_path, json.dumps(found), "coco.json")) == [
        CaptionedImage("b.jpg", None, ("A cup", "Coffee")),
        CaptionedImage("a.jpg", None, ("A cat",)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("picture\ttext\na.jpg\tA cat\n", "first line must name the columns"),
        ("", "first line must name the columns"),
        ("image\tcaption\na.jpg A cat\n", "Line 2 of"),
        ("image\tcaption\n", "no captions in it"),
        ("{not json", "not valid JSON"),
        ('{"pictures": []}', "neither Karpathy's JSON"),
        ("[1, 2]", "neither Karpathy's JSON"),
        ('{"images": [{"id": 1}], "annotations": []}', "neither Karpathy's JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_sentence(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(CaptionsError, match=says) as caught:
        read_captions(_write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match=r"no captions file .*nowhere\.tsv"):
        read_captions(tmp_path / "nowhere.tsv")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "captions.tsv"
    file.write_bytes(b"image\tcaption\n\xff\xfe\x00")
    with pytest.raises(CaptionsError, match="not UTF-8"):
        read_captions(file)


def test_an_unknown_split_is_refused_with_the_ones_there_are(tmp_path: Path) -> None:
    file = _write(tmp_path, "image\tsplit\tcaption\na.jpg\ttrain\tA cat\nb.jpg\tdev\tA cup\n")
    with pytest.raises(CaptionsError, match="no split called test: it has dev, train"):
        read_captions(file, split="test")


def test_a_split_of_a_file_without_splits_is_refused(tmp_path: Path) -> None:
    file = _write(tmp_path, "image\tcaption\na.jpg\tA cat\n")
    with pytest.raises(CaptionsError, match="ask for none"):
        read_captions(file, split="test")
