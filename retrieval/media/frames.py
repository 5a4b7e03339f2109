"""Frames of one video file, decoded with PyAV: what runs inside of the guarded process.

`serve` answers one request of `retrieval.media.video` in parts, so that a film takes no more memory
than a clip and each part has its own limit of time. The file is opened here and given to FFmpeg as
bytes, which lets no playlist or reference in it reach another file or the network.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from retrieval.errors import ImageError
from retrieval.images.decode import resize
from retrieval.images.preprocess import Preprocessing
from retrieval.media.video_facts import facts_of, is_live_photo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Of one frame: 8K has half as many.
MAX_FRAME_PIXELS = 64_000_000
FRAMES_A_PART = 32
# A part ends after this share of the processor time that it may take, with what it has by then.
_PART_SHARE = 0.2
# Less change than this, of 255, between small copies of two frames is none.
_STILL = 2.0
_STILL_PX = 16
# Nothing else opens: playlists and scripts name other files.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,mxf,dv,h264,"
    "hevc"
)
_MANY_PIXELS = 3840 * 2160
_UNSPECIFIED = 2
_BT709 = 1
_HD_LINES = 720
_SEEK_BACK_MS = 500


def serve(request: dict[str, Any], cpu_s: int) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The parts of the answer to a request: what is told of frames, and their pixels.

    `times_ms` asks for frames at these times, ascending; else a frame is taken every `every_ms`
    from `after_ms` on, without those that look like the one before. Raises ImageError.
    """
    with _Video(request["path"], request.get("identity")) as video:
        about = video.about()
        preprocessing = request["preprocessing"]
        if preprocessing is None:
            yield about, b""
            return
        rule = Preprocessing(**preprocessing)
        until_s = time.process_time() + _PART_SHARE * cpu_s
        found: Iterator[tuple[int, VideoFrame | None]] = (
            _at_times(video, request["times_ms"])
            if "times_ms" in request
            else _sampled(video, request["after_ms"], request["every_ms"])
        )
        times: list[int] = []
        pixels: list[bytes] = []
        seen = b""
        reached_ms = -1
        for time_ms, frame in found:
            reached_ms = time_ms
            if frame is not None:
                image = video.upright(frame, rule)
                small = image.resize((_STILL_PX, _STILL_PX), Image.Resampling.BOX).tobytes()
                if "times_ms" in request or _differ(small, seen):
                    seen = small
                    times.append(time_ms)
                    pixels.append(image.tobytes())
            if len(times) >= FRAMES_A_PART or time.process_time() > until_s:
                told = {**about, "times_ms": times, "reached_ms": reached_ms, "more": True}
                yield told, b"".join(pixels)
                times, pixels = [], []
                until_s = time.process_time() + _PART_SHARE * cpu_s
        if reached_ms < 0:
            raise ImageError("damaged", "no frame of it can be decoded")
        last = {**about, "times_ms": times, "reached_ms": reached_ms, "is_whole": video.is_whole}
        yield last, b"".join(pixels)


class _Video:
    """An opened file. What FFmpeg and the system raise comes out as ImageError."""

    def __init__(self, path: str, identity: Sequence[int] | None) -> None:
        self.is_whole = True
        self._file = _opened(path, identity)
        try:
            self._container, self._stream = _demuxed(self._file)
        except BaseException:
            self._file.close()
            raise
        start = self._container.start_time
        self._start_ms = 0.0 if start is None else start / 1000
        self._size: tuple[int, int] | None = None
        self._rotation = 0

    def __enter__(self) -> _Video:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self._container.close()
        self._file.close()

    def about(self) -> dict[str, Any]:
        """What is known of the whole: its length, upright size and facts."""
        tags = {**self._stream.metadata, **self._container.metadata}
        first = next(iter(self.frames(0)), None)
        if first is None:
            raise ImageError("damaged", "no frame of it can be decoded")
        width, height = self._upright_size(first[1])
        duration = self._container.duration
        return {
            "duration_ms": None if duration is None else max(0, duration // 1000),
            "width_px": width,
            "height_px": height,
            "is_live_photo": is_live_photo(tags),
            "metadata": facts_of(tags).to_json(),
        }

    def frames(self, from_ms: float) -> Iterator[tuple[int, VideoFrame]]:
        """Frames with their times from a key frame before `from_ms` on; bad ones are left out."""
        import av

        time_base = self._stream.time_base or Fraction(1, 1000)
        target = int((max(0.0, from_ms) + self._start_ms) / 1000 / time_base)
        # What cannot be sought in is read from where it is, or from its beginning.
        with suppress(av.error.FFmpegError):
            self._container.seek(target, stream=self._stream, backward=True)
        self._stream.codec_context.flush_buffers()
        packets = self._container.demux(self._stream)
        rate = float(self._stream.average_rate or 25)
        count = 0
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                decoded = packet.decode()
            except MemoryError as error:
                raise ImageError("too-large", "there is not enough memory to decode it") from error
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self.is_whole = False
                if isinstance(error, av.error.MemoryError):
                    raise ImageError(
                        "too-large", "there is not enough memory to decode it"
                    ) from error
                if not isinstance(error, av.error.InvalidDataError):
                    return
                continue
            for frame in decoded:
                count += 1
                seconds = frame.time if frame.time is not None else count / rate
                yield max(0, round(1000 * seconds - self._start_ms)), frame

    def skip_what_none_needs(self) -> None:
        """Leave out frames that no other frame is made from: half the work, or more."""
        self._stream.codec_context.skip_frame = "NONREF"

    def upright(self, frame: VideoFrame, preprocessing: Preprocessing) -> Image.Image:
        """A frame as sRGB, turned as players turn it, at the size that an encoder sees."""
        width, height = self._upright_size(frame)
        scale = min(1.0, 2 * preprocessing.size_px / min(width, height))
        if max(width, height) * scale > 8 * 2 * preprocessing.size_px:
            scale = 16 * preprocessing.size_px / max(width, height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        is_on_side = frame.rotation % 180 != 0
        image = _as_srgb(frame, *((high, wide) if is_on_side else (wide, high)))
        turns = (frame.rotation % 360) // 90
        if turns:
            image = image.transpose(
                (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[
                    turns - 1
                ]
            )
        return resize(image, preprocessing)

    def _upright_size(self, frame: VideoFrame) -> tuple[int, int]:
        width, height = frame.width, frame.height
        if width * height > MAX_FRAME_PIXELS:
            raise ImageError(
                "too-large",
                f"its frames have {width} × {height} pixels, more than the "
                f"{MAX_FRAME_PIXELS // 10**6} megapixels that are decoded",
            )
        aspect = self._stream.sample_aspect_ratio
        # Pixels that are not square; nonsense is taken for square ones.
        if aspect and 1 / 8 <= aspect <= 8:
            width = max(1, round(width * float(aspect)))
        return (height, width) if frame.rotation % 180 else (width, height)


def _sampled(
    video: _Video, after_ms: int, every_ms: int
) -> Iterator[tuple[int, VideoFrame | None]]:
    """A frame every so often, None between them, with its time; only those after a time."""
    video.skip_what_none_needs()
    due_ms = float(after_ms)
    last_ms = -1
    for time_ms, frame in video.frames(after_ms):
        # Times that run backwards are of a damaged file.
        if time_ms <= last_ms:
            continue
        if time_ms >= due_ms and time_ms > after_ms:
            last_ms = time_ms
            due_ms = max(due_ms + every_ms, time_ms + every_ms / 2)
            yield time_ms, frame
        else:
            yield time_ms, None


def _at_times(video: _Video, times_ms: Sequence[int]) -> Iterator[tuple[int, VideoFrame | None]]:
    """For each time the frame that is seen then: the last one that is not later."""
    for wanted_ms in times_ms:
        shown: tuple[int, VideoFrame] | None = None
        for back_ms in (0, _SEEK_BACK_MS, wanted_ms):
            for time_ms, frame in video.frames(wanted_ms - back_ms):
                if time_ms > wanted_ms and shown is not None:
                    break
                if time_ms <= wanted_ms or back_ms == wanted_ms:
                    shown = (time_ms, frame)
                if time_ms >= wanted_ms:
                    break
            if shown is not None:
                break
        if shown is None:
            raise ImageError("damaged", "a frame of it can no longer be decoded")
        yield wanted_ms, shown[1]


def _opened(path: str, identity: Sequence[int] | None) -> BinaryIO:
    """The regular file at a path, where it is still the very one that was looked at."""
    try:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(os.fsdecode(path.encode("utf-8", "surrogateescape")), flags)
    except FileNotFoundError as error:
        raise ImageError("vanished", "the file is no longer there") from error
    except OSError as error:
        raise ImageError("unreadable", f"it cannot be read ({error.strerror})") from error
    facts = os.fstat(descriptor)
    state = [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]
    if not stat.S_ISREG(facts.st_mode) or (identity is not None and state != list(identity)):
        os.close(descriptor)
        raise ImageError("unreadable", "it changed while it was read")
    return os.fdopen(descriptor, "rb", buffering=0)


def _demuxed(file: BinaryIO) -> tuple[InputContainer, VideoStream]:
    import av

    try:
        container = av.open(file, "r", container_options={"format_whitelist": _FORMATS})
    except av.error.FFmpegError as error:
        raise ImageError("damaged", f"it is damaged, or no video ({error.strerror})") from error
    # Covers of sound files are pictures in the guise of video.
    stream = next(
        (one for one in container.streams.video if not int(one.disposition) & _attached(one)), None
    )
    if stream is None or stream.codec_context is None:
        raise ImageError("not-a-picture", "it holds no moving pictures")
    context = stream.codec_context
    if context.width * context.height > MAX_FRAME_PIXELS:
        raise ImageError(
            "too-large",
            f"its frames have {context.width} × {context.height} pixels, more than the "
            f"{MAX_FRAME_PIXELS // 10**6} megapixels that are decoded",
        )
    # Each thread holds frames of its own.
    many = context.width * context.height > _MANY_PIXELS
    context.thread_count = 1 if many else min(4, os.cpu_count() or 1)
    context.thread_type = "AUTO"
    return container, stream


def _attached(stream: VideoStream) -> int:
    return int(type(stream.disposition).attached_pic)


def _as_srgb(frame: VideoFrame, width: int, height: int) -> Image.Image:
    from retrieval.media.hdr import TRANSFERS

    options: dict[str, Any] = {"width": width, "height": height, "interpolation": "AREA"}
    # Nobody says what it is where it is what was usual.
    if frame.colorspace == _UNSPECIFIED and frame.height >= _HD_LINES:
        options["src_colorspace"] = _BT709
    if frame.color_trc not in TRANSFERS:
        rgb = frame.reformat(format="rgb24", **options)
        return Image.fromarray(rgb.to_ndarray())
    import numpy as np

    from retrieval.media.hdr import to_srgb

    deep = frame.reformat(format="rgb48le", **options)
    pixels = np.asarray(deep.to_ndarray(), np.uint16)
    return Image.fromarray(to_srgb(pixels, int(frame.color_trc)))


def _differ(small: bytes, seen: bytes) -> bool:
    if not seen:
        return True
    change = sum(abs(one - other) for one, other in zip(small, seen, strict=True))
    return change > _STILL * len(small)
