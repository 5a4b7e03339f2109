"""What IPTC data say about a picture: records of the press' older standard, IIM."""

from __future__ import annotations

from collections.abc import Iterator

from retrieval.images import written
from retrieval.images.facts import DateSource, Findings, ImageMetadata

_IPTC_RESOURCE = 0x0404
_MARK = 0x1C
_CHARSET = (1, 90)
_TITLE, _KEYWORD, _DATE, _TIME = (2, 5), (2, 25), (2, 55), (2, 60)
_CREATOR, _COPYRIGHT, _CAPTION = (2, 80), (2, 116), (2, 120)
_UTF_8 = b"\x1b%G"
# What ISO 2022 calls the western set, as the right half of the 8-bit codes and as the left one.
_WESTERN = (b"\x1b.A", b"\x1b-A")
_MAX_RECORDS = 5000
_MAX_RESOURCES = 1000


def from_photoshop(resources: bytes) -> bytes:
    """The IPTC data among Photoshop's image resources, empty where there are none.

    Each resource is `8BIM`, a number, a name and the content, both filled up to an even length.

    Args:
        resources: What follows `Photoshop 3.0` in a JPEG, or is in a TIFF's field 0x8649.

    Returns:
        The content of the first resource of IPTC data, cut where the resources are.
    """
    at = 0
    for _ in range(_MAX_RESOURCES):
        if resources[at : at + 4] != b"8BIM" or at + 7 > len(resources):
            break
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        # The name is a length and as many characters, 2 bytes at least.
        start = at + 6 + (resources[at + 6] + 2) // 2 * 2
        length = int.from_bytes(resources[start : start + 4], "big")
        start += 4
        if number == _IPTC_RESOURCE:
            return resources[start : start + length]
        at = start + length + length % 2
    return b""


def findings(data: bytes) -> Findings:
    """Read the facts.

    Args:
        data: Records one after the other.

    Returns:
        Whatever is there and can be.
    """
    records: dict[tuple[int, int], list[bytes]] = {}
    for number, content in _records(data):
        records.setdefault(number, []).append(content)
    charset = records.get(_CHARSET, [b""])[0]

    def texts(number: tuple[int, int]) -> list[str]:
        return [_decoded(content, charset) for content in records.get(number, [])]

    def text(number: tuple[int, int]) -> str | None:
        return written.clean(next(iter(texts(number)), None))

    facts = ImageMetadata(
        title=text(_TITLE),
        caption=written.clean_caption(text(_CAPTION)),
        keywords=written.clean_keywords(texts(_KEYWORD)),
        creator=written.clean(", ".join(texts(_CREATOR))),
        copyright=text(_COPYRIGHT),
    )
    moment = written.parse_iptc_date(text(_DATE), text(_TIME))
    return Findings(facts, {} if moment is None else {DateSource.IPTC_CREATED: moment})


def _records(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Number and content of each record: mark, number in two parts, length, content."""
    at = 0
    # Libraries swap the bytes of a TIFF's field of IPTC data by fours, since it claims to be longs.
    if data[:1] != bytes([_MARK]) and data[3:4] == bytes([_MARK]):
        data = b"".join(data[four : four + 4][::-1] for four in range(0, len(data), 4))
    for _ in range(_MAX_RECORDS):
        if at + 5 > len(data) or data[at] != _MARK:
            return
        number = (data[at + 1], data[at + 2])
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        at += 5
        if length & 0x8000:
            # Then it is how many bytes the length takes.
            width = length & 0x7FFF
            if width > 4:
                return
            length = int.from_bytes(data[at : at + width], "big")
            at += width
        yield number, data[at : at + length]
        at += length


def _decoded(content: bytes, charset: bytes) -> str:
    if charset.strip().startswith(_WESTERN) and not charset.startswith(_UTF_8):
        return content[: written.MAX_TEXT_CHARS * 2].decode("cp1252", "replace")
    # UTF-8 where that was declared; where nothing was, it may be.
    return written.decode(content)
