"""Frames of real video files: times, turning, light, and files that are not what they say."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retrieval.errors import ImageError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.preprocess import Preprocessing
from retrieval.media import frames
from retrieval.media.hdr import HLG, PQ, to_srgb
from retrieval.media.times import at_time, clock
from retrieval.media.video import VideoReader, identity_of
from retrieval.media.video_facts import facts_of
from samples.clips import ClipFormat, Shot, write_clip

SQUARE = Preprocessing(64, "squash", "bilinear")
ONE = [Shot(Path(), 1.0, "still")]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(processes=1)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def reader(pool: DecoderPool) -> VideoReader:
    return VideoReader(pool)


def still(photos: Path, seconds: float = 1.0) -> list[Shot]:
    return [Shot(photos / "chelsea.png", seconds, "still")]


def seen(photos: Path) -> NDArray[np.float64]:
    """The photograph as it should come out of a clip, (64, 64, 3)."""
    with Image.open(photos / "chelsea.png") as image:
        small = image.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def difference(pixels: NDArray[np.uint8], wanted: NDArray[np.float64]) -> float:
    return float(np.abs(pixels.astype(np.float64) - wanted).mean())


def test_frames_come_twice_a_second_with_their_times(
    reader: VideoReader, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, [Shot(photos / "chelsea.png"), Shot(photos / "coffee.png")])
    parts = list(reader.sample(path, SQUARE))
    times = [frame.time_ms for part in parts for frame in part.frames]
    assert times == list(range(0, 4000, 500))
    assert parts[-1].facts.duration_ms == 4000
    assert (parts[0].frames[0].width_px, parts[0].frames[0].height_px) == (320, 240)
    later = [f.time_ms for part in reader.sample(path, SQUARE, after_ms=2000) for f in part.frames]
    assert later and min(later) > 2000
    # After the last frame there is nothing, which is no damage.
    ended = list(reader.sample(path, SQUARE, after_ms=3917))
    assert [part.frames for part in ended] == [()] and ended[0].is_whole


def test_frames_at_rest_come_once(reader: VideoReader, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    write_clip(path, still(photos, 4.0))
    assert [len(part.frames) for part in reader.sample(path, SQUARE)] == [1]


def test_a_frame_shown_by_its_time_is_the_one_that_was_sampled(
    reader: VideoReader, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, [Shot(photos / "chelsea.png"), Shot(photos / "coffee.png", move="zoom")])
    sampled = [frame for part in reader.sample(path, SQUARE) for frame in part.frames]
    times = [frame.time_ms or 0 for frame in sampled]
    again = list(reader.frames_at(path, times, SQUARE))
    assert [frame.time_ms for frame in again] == times
    for one, other in zip(sampled, again, strict=True):
        assert (one.pixels == other.pixels).all()


def test_times_are_those_of_frames_where_their_rate_varies(
    reader: VideoReader, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "varying.mkv"
    times = [0, 40, 80, 1000, 3000, 3040, 5000]
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times:
            picture = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    found = [f.time_ms for part in reader.sample(path, SQUARE) for f in part.frames]
    assert found == [0, 1000, 3000, 5000]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_video_comes_upright(
    reader: VideoReader, photos: Path, tmp_path: Path, rotation: int
) -> None:
    path = tmp_path / "turned.mov"
    write_clip(path, still(photos), ClipFormat(rotation_deg=rotation))
    frame = reader.show(path, 0, SQUARE)
    turned = np.rot90(seen(photos), rotation // 90)
    assert difference(frame.pixels, turned) < 6
    assert (frame.width_px, frame.height_px) == ((240, 320) if rotation % 180 else (320, 240))


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "smpte2084"), (HLG, "arib-std-b67")])
def test_high_dynamic_range_comes_as_bright_as_a_photograph(
    reader: VideoReader, tmp_path: Path, transfer: int, name: str
) -> None:
    path = tmp_path / "hdr.mp4"
    # Grey paper at the level that BT.2408 gives diffuse white, and half of it.
    white = {PQ: 0.58, HLG: 0.75}[transfer]
    levels = np.array([0.05, white * 0.7, white], np.float64)
    with av.open(str(path), "w") as out:
        options = {
            "preset": "ultrafast",
            "x265-params": f"log-level=none:transfer={name}:colorprim=bt2020:colormatrix=bt2020nc",
        }
        stream = out.add_stream("libx265", rate=2, options=options)
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p10le"
        deep = np.repeat((levels * 65535).astype(np.uint16), 64)
        picture = np.broadcast_to(deep[None, :, None], (64, 192, 3)).copy()
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    dark, middle, bright = reader.show(path, 0, SQUARE).pixels[32, [8, 32, 56]].mean(axis=1)
    assert dark < 60 < middle < bright
    assert 180 < bright <= 255


def test_the_curve_of_high_dynamic_range_rises_and_stays_in_range() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    grey = np.repeat(ramp[None, :, None], 3, axis=2)
    for transfer in (PQ, HLG):
        out = to_srgb(grey, transfer)[0].astype(int)
        assert (np.diff(out[:, 0]) >= 0).all() and out[0, 0] == 0 and out[-1, 0] == 255
        assert np.ptp(out, axis=1).max() <= 2


def test_what_is_no_longer_the_file_that_was_looked_at_is_not_read(
    reader: VideoReader, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, still(photos))
    identity = identity_of(path.stat())
    assert list(reader.sample(path, SQUARE, identity=identity))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ImageError, match="changed"):
        list(reader.sample(path, SQUARE, identity=identity))


def test_frames_of_too_many_pixels_are_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.mp4"
    write_clip(path, still(photos))
    monkeypatch.setattr(frames, "MAX_FRAME_PIXELS", 1000)
    request = {"path": str(path), "preprocessing": None}
    with pytest.raises(ImageError) as caught:
        list(frames.serve(request, 30))
    assert caught.value.kind == "too-large"


def test_a_video_that_keeps_the_decoder_too_long_is_told_from_the_others(
    photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.mp4"
    write_clip(path, [Shot(photos / "chelsea.png", 4.0)])
    # No time at all: each part ends after its first frame, and all of them come.
    request = {"path": str(path), "preprocessing": {"size_px": 32}, "after_ms": -1, "every_ms": 500}
    parts = list(frames.serve(request, 0))
    assert len(parts) > 4
    assert [time for about, _ in parts for time in about["times_ms"]] == list(range(0, 4000, 500))


def test_facts_of_a_phone_are_read() -> None:
    facts = facts_of(
        {
            "creation_time": "2021-06-05T12:03:22.000000Z",
            "com.apple.quicktime.creationdate": "2021-06-05T14:03:22+0200",
            "com.apple.quicktime.make": "Apple",
            "com.apple.quicktime.model": "iPhone 12",
            "com.apple.quicktime.location.ISO6709": "+48.1374-011.5755+519.000/",
            "title": "At the lake",
        }
    )
    assert str(facts.taken_at) == "2021-06-05 14:03:22"
    assert (facts.camera_make, facts.camera_model, facts.title) == (
        "Apple", "iPhone 12", "At the lake",
    )  # fmt: skip
    assert (facts.latitude, facts.longitude, facts.altitude_m) == (48.1374, -11.5755, 519.0)
    assert facts_of({"creation_time": "1904-01-01T00:00:00Z"}).taken_at is None
    assert facts_of({"location": "+95.0+11.0/"}).latitude is None


def test_times_are_written_as_players_write_them() -> None:
    assert clock(751_999) == "00:12:31"
    assert clock(36_000_000 + 61_000) == "10:01:01"
    assert at_time("a.mp4", 0) == "a.mp4 @ 00:00:00" and at_time("a.jpg", None) == "a.jpg"
