"""Decoding: real photographs in every format, and every way in which a file can be bad."""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from retrieval.errors import ImageError
from retrieval.images.decode import decode, read_image, to_pixels
from retrieval.images.preprocess import Preprocessing

SQUASH = Preprocessing(64, "squash", "bilinear")
CROP = Preprocessing(64, "crop", "bicubic")


@pytest.fixture(scope="module")
def photo(photos: Path) -> Image.Image:
    with Image.open(photos / "chelsea.png") as opened:
        return opened.convert("RGB")


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures of one size, in steps of 255."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_every_common_format_is_read_by_its_content(
    photo: Image.Image, form: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.name"
    path.write_bytes(saved(photo, form))
    assert distance(read_image(path), photo) < 8
    assert distance(read_image(path.read_bytes()), photo) < 8


def test_an_animation_shows_its_first_frame(photo: Image.Image) -> None:
    blank = Image.new("RGB", photo.size)
    for form in ("GIF", "WEBP", "TIFF"):
        data = saved(photo, form, save_all=True, append_images=[blank])
        assert distance(read_image(data), photo) < 8


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_comes_upright_whatever_its_exif_orientation(
    photo: Image.Image, form: str, orientation: int
) -> None:
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = photo.transpose(turned[orientation]) if orientation > 1 else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, form, exif=exif)
    assert distance(read_image(data), photo) < 8
    decoded = decode(data, SQUASH)
    assert (decoded.width_px, decoded.height_px) == photo.size


def test_garbled_exif_data_do_not_spoil_the_picture(photo: Image.Image) -> None:
    data = saved(photo, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff" + bytes(range(256)))
    assert distance(read_image(data), photo) < 8


def test_a_reduced_jpeg_is_large_enough_and_the_same_picture(photo: Image.Image) -> None:
    large = photo.resize((3200, 2400))
    data = saved(large, "JPEG")
    reduced = read_image(data, smallest_side_px=64)
    assert 128 <= min(reduced.size) < 2400
    full = to_pixels(read_image(data), SQUASH)
    decoded = decode(data, SQUASH)
    assert np.abs(decoded.pixels.astype(int) - full).mean() < 2
    assert (decoded.width_px, decoded.height_px) == (3200, 2400)


def test_an_open_picture_is_left_as_it_was(photos: Path) -> None:
    with Image.open(photos / "rocket.jpg") as opened:
        size = opened.size
        read_image(opened, smallest_side_px=8)
        assert opened.size == size


def test_what_is_transparent_shows_white(photo: Image.Image) -> None:
    clear = photo.convert("RGBA")
    clear.putalpha(0)
    palette = Image.new("P", (8, 8))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    for data in (
        saved(clear, "PNG"),
        saved(clear, "WEBP", lossless=True),
        saved(clear.convert("LA"), "PNG"),
        saved(palette, "PNG", transparency=0),
    ):
        assert np.asarray(read_image(data)).min() == 255


def test_palette_cmyk_grey_and_bilevel_pictures_become_rgb(photo: Image.Image) -> None:
    assert distance(read_image(saved(photo.quantize(), "PNG")), photo) < 10
    assert distance(read_image(saved(photo.convert("CMYK"), "JPEG")), photo) < 10
    grey = photo.convert("L")
    assert distance(read_image(saved(grey, "PNG")), grey.convert("RGB")) == 0
    assert read_image(saved(photo.convert("1"), "PNG")).mode == "RGB"


def test_sixteen_bits_a_pixel_keep_their_brightness(photo: Image.Image) -> None:
    grey = np.asarray(photo.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    for form in ("PNG", "TIFF"):
        read = np.asarray(read_image(saved(deep, form)))[..., 0]
        assert np.abs(read.astype(int) - grey).max() <= 1


def test_float_pictures_are_stretched_to_their_own_range(photo: Image.Image) -> None:
    grey = np.asarray(photo.convert("L")).astype(np.float32)
    data = saved(Image.fromarray(grey / 1000), "TIFF")
    read = np.asarray(read_image(data))
    assert (read.min(), read.max()) == (0, 255)


def test_an_embedded_profile_is_turned_into_srgb(photo: Image.Image) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert distance(read_image(saved(photo, "PNG", icc_profile=lab)), photo) == 0
    swapped = _profile_with_swapped_red_and_blue(lab)
    read = np.asarray(read_image(saved(photo, "PNG", icc_profile=swapped)))
    np.testing.assert_allclose(read.astype(int), np.asarray(photo)[..., ::-1], atol=3)


def test_a_profile_that_makes_no_sense_is_passed_over(photo: Image.Image) -> None:
    for profile in (b"nonsense", bytes(200)):
        assert distance(read_image(saved(photo, "PNG", icc_profile=profile)), photo) == 0


def test_a_crop_agrees_with_torchvision(photo: Image.Image) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    for width, height in [(451, 300), (300, 451), (64, 64), (97, 65), (65, 98), (40, 30)]:
        image = photo.resize((width, height))
        theirs = transforms.Compose(
            [
                transforms.Resize(64, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(64),
            ]
        )(image)
        np.testing.assert_array_equal(to_pixels(image, CROP), np.asarray(theirs))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([SQUASH, CROP]))
def test_pixels_have_the_size_that_the_encoder_wants(
    width: int, height: int, preprocessing: Preprocessing
) -> None:
    pixels = to_pixels(Image.new("RGB", (width, height), "red"), preprocessing)
    assert (pixels.shape, pixels.dtype) == ((64, 64, 3), np.uint8)
    assert (pixels == [255, 0, 0]).all()


def test_a_strip_of_a_pixel_by_a_million_takes_little_memory() -> None:
    before = _peak_mib()
    data = saved(Image.new("RGB", (1, 1_000_000), "red"), "PNG")
    assert decode(data, CROP).pixels.shape == (64, 64, 3)
    assert _peak_mib() - before < 200


def test_a_decompression_bomb_is_refused_by_the_size_that_it_declares() -> None:
    before, started = _peak_mib(), time.monotonic()
    with pytest.raises(ImageError, match="50000 × 50000") as caught:
        decode(_png_header(50_000, 50_000), SQUASH)
    assert caught.value.kind == "too-large"
    assert time.monotonic() - started < 1
    assert _peak_mib() - before < 50


def test_bad_bytes_come_out_as_a_kind_and_a_reason(photo: Image.Image, tmp_path: Path) -> None:
    for data, kind in (
        (b"", "empty"),
        (b"Dear diary", "not-a-picture"),
        (b"%PDF-1.7", "not-a-picture"),
        (saved(photo, "JPEG")[:5000], "damaged"),
        (saved(photo, "PNG")[:5000], "damaged"),
        (saved(photo, "WEBP")[:5000], "damaged"),
        (saved(photo, "TIFF")[:5000], "damaged"),
    ):
        with pytest.raises(ImageError) as caught:
            read_image(data)
        assert caught.value.kind == kind, (data[:8], caught.value.reason)
        assert caught.value.reason
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "nothing.jpg")
    assert caught.value.kind == "vanished"
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path)
    assert caught.value.kind == "unreadable"


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]),
    where=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    kept=st.floats(0, 1),
)
def test_any_garbled_file_is_either_decoded_or_a_picture_error(
    form: str, where: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(_SMALL[form])
    for place, byte in where:
        data[int(place * (len(data) - 1))] = byte
    data = data[: max(1, round(len(data) * kept))]
    try:
        assert decode(bytes(data), SQUASH).pixels.shape == (64, 64, 3)
    except ImageError as error:
        assert error.kind in {"damaged", "not-a-picture", "too-large"}


_SMALL = {
    form: saved(Image.linear_gradient("L").resize((40, 30)).convert("RGB"), form)
    for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
}


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _profile_with_swapped_red_and_blue(srgb: bytes) -> bytes:
    """The sRGB profile with the names of two primaries exchanged, and called something else."""
    swapped = srgb.replace(b"rXYZ", b"_XYZ").replace(b"bXYZ", b"rXYZ").replace(b"_XYZ", b"bXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "oRGB".encode("utf-16-be"))
