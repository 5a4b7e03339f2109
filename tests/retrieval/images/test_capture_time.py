"""The camera's time is read where a file tells it, and nothing is made of garbled ones."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.images.metadata import read_metadata

ORIGINAL, DIGITIZED, EDITED = 0x9003, 0x9004, 0x0132


def capture_time(data: bytes) -> datetime | None:
    return read_metadata(data).taken_at


def image(file_format: str, fields: dict[int, object], edited: str | None = None) -> bytes:
    written = Image.Exif()
    written[0x8769] = fields
    if edited is not None:
        written[EDITED] = edited
    # Pillow writes a TIFF's from EXIF data that were read, not from those that were made.
    exif = Image.Exif()
    exif.load(written.tobytes())
    shown, out = Image.new("RGB", (64, 64)), io.BytesIO()
    if file_format == "HEIF":
        held = pytest.importorskip("pillow_heif").from_pillow(shown)
        held.info["exif"] = exif.tobytes()
        held.save(out)
    else:
        shown.save(out, file_format, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_the_camera_s_time_is_read_from_every_format_that_keeps_it(file_format: str) -> None:
    data = image(file_format, {ORIGINAL: "2021:07:18 16:04:05"})
    assert capture_time(data) == datetime(2021, 7, 18, 16, 4, 5)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2021-07-18T16:04:05+02:00", datetime(2021, 7, 18, 16, 4, 5)),
        ("2021:07:18 16:04", datetime(2021, 7, 18, 16, 4)),
        ("0000:00:00 00:00:00", None),
        ("0001:01:01 00:00:00", None),
        ("2021:13:41 16:04:05", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_is_what_was_written_or_nothing(written: str, meant: datetime | None) -> None:
    assert capture_time(image("JPEG", {ORIGINAL: written})) == meant


def test_a_scan_has_the_time_of_its_scanning_and_an_edit_tells_nothing() -> None:
    assert capture_time(image("JPEG", {DIGITIZED: "1999:01:02 03:04:05"})) == datetime(
        1999, 1, 2, 3, 4, 5
    )
    assert capture_time(image("JPEG", {}, edited="2020:01:01 00:00:00")) is None


def test_photographs_without_a_date_and_other_files_have_no_time(photos: Path) -> None:
    assert all(
        time is None or time.year > 1990
        for time in (capture_time(path.read_bytes()) for path in photos.iterdir())
    )
    assert capture_time((photos / "coffee.png").read_bytes()) is None
    assert capture_time(b"") is None
    assert capture_time(b"no picture") is None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damage_is_never_raised(file_format: str, data: st.DataObject) -> None:
    whole = bytearray(image(file_format, {ORIGINAL: "2021:07:18 16:04:05"}))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    time = capture_time(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert time is None or isinstance(time, datetime)
