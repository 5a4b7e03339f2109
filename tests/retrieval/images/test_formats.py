"""Formats beyond the common ones, made from real photographs, and colours that are not sRGB."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from retrieval.errors import ImageError
from retrieval.images import color as colours
from retrieval.images import decode as pictures
from retrieval.images.decode import decode, read_image, to_pixels
from retrieval.images.formats import image_format, is_supported, open_image
from retrieval.images.preprocess import Preprocessing
from tests.support.raw_photos import deep_rgb_tiff, dng

SQUASH = Preprocessing(64, "squash", "bilinear")


@pytest.fixture(scope="module")
def photo(photos: Path) -> Image.Image:
    with Image.open(photos / "chelsea.png") as opened:
        return opened.convert("RGB")


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def heic(image: Image.Image, exif: bytes | None = None) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    held, file = pillow_heif.from_pillow(image), io.BytesIO()
    held.info["exif"] = exif
    held.save(file, quality=90)
    return file.getvalue()


def distance(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


def likeness(one: Image.Image, other: Image.Image) -> float:
    """Correlation of two pictures' pixels at one small size."""
    small = [np.asarray(image.convert("L").resize((32, 32))).ravel() for image in (one, other)]
    return float(np.corrcoef(small)[0, 1])


def test_heic_as_phones_make_it_is_read(photo: Image.Image) -> None:
    data = heic(photo)
    assert image_format(data) == "HEIF"
    assert distance(read_image(data), photo) < 5
    decoded = decode(data, SQUASH)
    assert (decoded.width_px, decoded.height_px) == photo.size


def test_avif_is_read(photo: Image.Image) -> None:
    data = saved(photo, "AVIF", quality=90)
    assert image_format(data) == "AVIF"
    assert distance(read_image(data), photo) < 5
    sequence = saved(photo, "AVIF", save_all=True, append_images=[Image.new("RGB", photo.size)])
    assert distance(read_image(sequence), photo) < 8


@pytest.mark.parametrize("form", ["HEIC", "AVIF"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_heic_and_avif_come_upright(photo: Image.Image, form: str, orientation: int) -> None:
    turns = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    stored = photo.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    if form == "HEIC":
        # The writer turns the EXIF orientation into HEIF's own, as phones do.
        data = heic(stored, exif.tobytes())
    else:
        data = saved(stored, form, exif=exif, quality=90)
    assert distance(read_image(data), photo) < 6
    decoded = decode(data, SQUASH)
    assert (decoded.width_px, decoded.height_px) == photo.size


def test_a_raw_file_shows_the_preview_that_the_camera_embedded(photo: Image.Image) -> None:
    pytest.importorskip("rawpy")
    data = dng(photo.rotate(180), preview=saved(photo, "JPEG", quality=92))
    assert distance(read_image(data), photo) < 4
    decoded = decode(data, SQUASH)
    assert (decoded.width_px, decoded.height_px) == (450, 300)


def test_a_raw_file_without_a_large_enough_preview_is_developed(photo: Image.Image) -> None:
    pytest.importorskip("rawpy")
    preview = saved(photo.rotate(180).resize((60, 40)), "JPEG")
    for data in (dng(photo), dng(photo, preview=preview)):
        developed = read_image(data, smallest_side_px=64)
        assert developed.size == (225, 150)
        assert likeness(developed, photo) > 0.95


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_raw_file_comes_upright(photo: Image.Image, orientation: int) -> None:
    pytest.importorskip("rawpy")
    turns = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    # Sides that are even, so that the mosaic leaves none out.
    whole = photo.crop((0, 0, 450, 300))
    held = whole.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    for preview in (
        None,
        saved(held, "JPEG"),
        saved(held, "JPEG", exif=exif),
        saved(whole, "JPEG") if orientation != 3 else None,
    ):
        data = dng(held, preview, orientation)
        assert likeness(read_image(data), whole) > 0.95
        decoded = decode(data, SQUASH)
        assert (decoded.width_px, decoded.height_px) == (450, 300)


def test_a_raw_file_is_told_from_a_tiff_by_its_tags(photo: Image.Image) -> None:
    assert read_image(saved(photo, "TIFF")).size == photo.size
    copy = saved(photo, "TIFF", tiffinfo={0x010F: "Maker", 0x0110: "Model"})
    assert read_image(copy).size == photo.size
    with pytest.raises(ImageError):
        read_image(b"FUJIFILMCCD-RAW 0201" + bytes(500))


def test_without_rawpy_a_raw_file_is_of_kind_unsupported_and_the_reason_says_what_to_install(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.images import formats as picture_files
    from retrieval.images import raw as raw_files

    for module in (picture_files, raw_files):
        monkeypatch.setattr(module, "can_read_raw", lambda: False)
    with pytest.raises(ImageError, match="mmsearch\\[raw\\]") as caught:
        read_image(dng(photo))
    assert caught.value.kind == "unsupported"
    assert not is_supported("Holiday.NEF")
    assert is_supported("Holiday.jpg")


def test_sixteen_bits_a_colour_are_read(photo: Image.Image) -> None:
    assert distance(read_image(deep_rgb_tiff(photo)), photo) == 0


def test_a_cmyk_picture_is_shown_by_its_own_profile(photo: Image.Image) -> None:
    # The profile says that full ink is no ink: what is stored as its negative comes out right.
    negative = Image.eval(photo.convert("CMYK"), lambda ink: 255 - ink)
    for form in ("JPEG", "TIFF"):
        plain = read_image(saved(photo.convert("CMYK"), form))
        by_profile = read_image(saved(negative, form, icc_profile=_cmyk_profile()))
        assert likeness(plain, photo) > 0.95
        assert likeness(by_profile, photo) > 0.9
        # Without it, all that black ink is black.
        assert np.asarray(read_image(saved(negative, form))).mean() < 5


def test_a_grey_picture_is_shown_by_its_own_profile(photo: Image.Image) -> None:
    grey = photo.convert("L")
    linear = np.asarray(grey).astype(np.float64) / 255
    # What a linear profile calls a value, sRGB calls a brighter one.
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    for image in (grey, grey.convert("LA"), _with_transparency(grey)):
        for form in ("PNG", "TIFF"):
            data = saved(image, form, icc_profile=_grey_profile(gamma=1.0))
            read = np.asarray(read_image(data)).astype(int)
            assert np.abs(read - np.round(expected * 255)[..., None]).mean() < 2


def test_a_palette_picture_is_shown_by_its_own_profile(photo: Image.Image) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"_XYZ").replace(b"bXYZ", b"rXYZ").replace(b"_XYZ", b"bXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "oRGB".encode("utf-16-be"))
    palette = photo.quantize(64)
    read = np.asarray(read_image(saved(palette, "PNG", icc_profile=swapped))).astype(int)
    np.testing.assert_allclose(read, np.asarray(palette.convert("RGB"))[..., ::-1], atol=3)


def test_a_profile_of_another_colour_space_is_passed_over(photo: Image.Image) -> None:
    data = saved(photo, "PNG", icc_profile=_grey_profile(gamma=1.0))
    assert distance(read_image(data), photo) == 0


def test_lab_pictures_are_read(photo: Image.Image) -> None:
    lab = ImageCms.profileToProfile(
        photo,
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    assert distance(read_image(saved(lab, "TIFF")), photo) < 4


def test_a_panorama_of_150_megapixels_is_decoded_at_a_reduced_scale(photo: Image.Image) -> None:
    width, height = 30_000, 5_000
    data = saved(photo.resize((width, height), Image.Resampling.NEAREST), "JPEG", quality=60)
    file = open_image(data, 288)
    assert (file.width_px, file.height_px) == (width, height)
    assert file.image.size == (width // 8, height // 8)
    assert file.memory_bytes < 16 * 2**20
    decoded = decode(data, SQUASH)
    assert (decoded.width_px, decoded.height_px) == (width, height)
    plain = to_pixels(photo, SQUASH).astype(int)
    assert np.abs(decoded.pixels - plain).mean() < 8


def test_the_bound_is_on_the_pixels_that_are_really_decoded(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.images import formats as picture_files

    monkeypatch.setattr(picture_files, "MAX_PIXELS", 1_000_000)
    large = photo.resize((3000, 2000))
    assert decode(saved(large, "JPEG"), SQUASH).width_px == 3000
    for data in (saved(large, "JPEG", progressive=True), saved(large, "WEBP")):
        with pytest.raises(ImageError, match="3000 × 2000") as caught:
            decode(data, SQUASH)
        assert caught.value.kind == "too-large"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "CMYK"])
def test_a_large_picture_taken_strip_by_strip_is_the_same_picture(
    photo: Image.Image, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "I;16":
        grey = np.asarray(photo.convert("L").resize((1500, 1001)))
        large = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        large = photo.resize((1500, 1001)).convert(mode)
    if mode == "RGBA":
        large.putalpha(large.convert("L").point(lambda grey: 255 if grey > 60 else 0))
    data = saved(large, "TIFF")
    at_once, whole = decode(data, SQUASH), read_image(data)
    monkeypatch.setattr(pictures, "_STRIP_PIXELS", 50_000)
    by_strips = decode(data, SQUASH)
    assert (by_strips.width_px, by_strips.height_px) == (1500, 1001)
    assert np.abs(by_strips.pixels.astype(int) - at_once.pixels).mean() < 1
    assert distance(read_image(data), whole) < 0.1


def test_the_bounds_and_formats_of_other_users_of_pillow_are_left_alone() -> None:
    code = (
        "from PIL import Image\n"
        "Image.init()\n"
        "before = Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), dict(Image.EXTENSION)\n"
        "import retrieval.images.decode, pi_heif, PIL.AvifImagePlugin as avif\n"
        "assert before == (Image.MAX_IMAGE_PIXELS, Image.OPEN, Image.EXTENSION)\n"
        "assert Image.MAX_IMAGE_PIXELS and avif.DEFAULT_MAX_THREADS == 0"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_transform_serves_all_pictures_with_the_same_profile(photo: Image.Image) -> None:
    colours._transform.cache_clear()
    for shade in ("L", "L", "L"):
        read_image(saved(photo.convert(shade), "PNG", icc_profile=_grey_profile(1.0)))
    assert colours._transform.cache_info().misses == 1


def _with_transparency(grey: Image.Image) -> Image.Image:
    """Grey with an opacity that is full everywhere."""
    both = grey.convert("LA")
    both.putalpha(255)
    return both


def _profile(colour_space: bytes, tags: dict[bytes, bytes], kind: bytes) -> bytes:
    """An ICC profile of version 2 with a header and these tags."""
    description = b"desc\0\0\0\0" + (6).to_bytes(4, "big") + b"plain\0" + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", **tags}
    table = len(tags).to_bytes(4, "big")
    body = b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        place = (start + len(body)).to_bytes(4, "big")
        table += name + place + len(content).to_bytes(4, "big")
        body += content + bytes(-len(content) % 4)
    size = (start + len(body)).to_bytes(4, "big")
    white = bytes.fromhex("0000f6d6000100000000d32d")
    header = size + bytes(4) + b"\2\x40\0\0" + kind + colour_space
    header += (b"Lab " if kind == b"prtr" else b"XYZ ") + bytes(12) + b"acsp"
    return header.ljust(68, b"\0") + white + bytes(128 - 80) + table + body


def _grey_profile(gamma: float) -> bytes:
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big")
    white = b"XYZ \0\0\0\0" + bytes.fromhex("0000f6d6000100000000d32d")
    return _profile(b"GRAY", {b"wtpt": white, b"kTRC": curve}, b"mntr")


def _cmyk_profile() -> bytes:
    """A printer whose inks are their own negatives: no ink at all is black, every ink is white."""
    corners = np.indices((2, 2, 2, 2)).reshape(4, -1).T
    lab = []
    for cyan, magenta, yellow, black in corners:
        colour = np.array([cyan, magenta, yellow]) * black
        lab.append(_lab8(colour.astype(float)))
    identity = np.arange(256, dtype=np.uint8).tobytes()
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    table += b"".join(int(value * 65536).to_bytes(4, "big") for value in np.eye(3).ravel().tolist())
    table += identity * 4 + np.array(lab, np.uint8).tobytes() + identity * 3
    return _profile(b"CMYK", {b"A2B0": table}, b"prtr")


def _lab8(rgb: np.ndarray) -> list[int]:
    """sRGB in 0 to 1 as CIELAB in the 8 bits of ICC."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]]
    xyz = np.array(matrix) @ linear / [0.9642, 1.0, 0.8249]
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    light, a, b = 116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])
    return [round(light * 2.55), round(a + 128), round(b + 128)]
