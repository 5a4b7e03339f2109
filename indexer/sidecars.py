"""Captions by models in XMP side-cars, the small files that other programs read beside pictures.

A picture's own file is never touched, and of a side-car that is there already not a byte is changed
but in the one `rdf:Description` that is written here and known again by its namespace. Where nobody
has described the picture there, the caption is given as `dc:description` too, which programs show.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from retrieval.errors import MmsearchError
from retrieval.storage.disk import sync_file

SUFFIX = ".xmp"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_OWN = "urn:mmsearch:xmp:1.0#"
_NEW = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
).encode()


class SidecarError(MmsearchError):
    """A side-car cannot be read or written, and stays as it is."""

    code = "sidecar"


def sidecar_of(picture: Path) -> Path:
    """Where a picture's side-car is: `a.jpg.xmp`, or `a.xmp` where only that is there."""
    full, short = picture.with_name(picture.name + SUFFIX), picture.with_suffix(SUFFIX)
    return short if short.exists() and not full.exists() else full


def write_sidecar(picture: Path, text: str, model: str) -> Path:
    """Put a caption that `model` wrote into a picture's side-car; returns where that is.

    One that was written so before is replaced. Raises SidecarError.
    """
    path = sidecar_of(picture)
    before = _read(path)
    _replace(path, before, with_caption(_NEW if before is None else before, text, model, path))
    return path


def remove_from_sidecar(picture: Path) -> bool:
    """Take the caption out again; whether there was one.

    A side-car that holds nothing else, since it was made for that, is deleted. Raises SidecarError.
    """
    path = sidecar_of(picture)
    before = _read(path)
    if before is None:
        return False
    places = _places(before, path)
    if places.own is None:
        return False
    after = _without(before, places.own)
    if after == _NEW:
        path.unlink(missing_ok=True)
    else:
        _replace(path, before, after)
    return True


def with_caption(packet: bytes, text: str, model: str, path: Path) -> bytes:
    """A side-car's bytes with the caption in it. Raises SidecarError; `path` is for its text."""
    places = _places(packet, path)
    if places.own is not None:
        packet = _without(packet, places.own)
        places = _places(packet, path)
    block = _block(text, model, is_described=places.is_described).encode()
    return packet[: places.end] + block + packet[places.end :]


def _block(text: str, model: str, *, is_described: bool) -> str:
    said = f'<rdf:Alt><rdf:li xml:lang="x-default">{escape(_clean(text))}</rdf:li></rdf:Alt>'
    shown = "" if is_described else f"<dc:description>{said}</dc:description>"
    return (
        f'<rdf:Description xmlns:rdf="{_RDF}" xmlns:dc="{_DC}" xmlns:mmsearch="{_OWN}"'
        f' rdf:about="" mmsearch:CaptionBy={quoteattr(_clean(model))}>'
        f"<mmsearch:Caption>{said}</mmsearch:Caption>{shown}</rdf:Description>\n"
    )


def _clean(text: str) -> str:
    """Without what XML has no way to write."""
    return "".join(
        letter for letter in text if letter.isprintable() and not "\ud800" <= letter <= "\udfff"
    )


@dataclass
class _Places:
    """Where things are in a packet, in bytes: the end tag of rdf:RDF, and what was written here."""

    end: int = -1
    own: tuple[int, int] | None = None
    is_described: bool = False
    _open: list[tuple[str, int, bool]] = field(default_factory=list)


def _places(packet: bytes, path: Path) -> _Places:
    places = _Places()
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_declared: object) -> None:
        raise _unreadable(path, "it declares entities of its own")

    def start(name: str, attributes: dict[str, str]) -> None:
        is_own = name == f"{_RDF} Description" and f"{_OWN} CaptionBy" in attributes
        within_own = any(own for _, _, own in places._open)
        if f"{_DC} description" in (name, *attributes) and not within_own:
            places.is_described = True
        places._open.append((name, parser.CurrentByteIndex, is_own))

    def end(name: str) -> None:
        _, begun, is_own = places._open.pop()
        at = parser.CurrentByteIndex
        if is_own:
            places.own = begun, packet.index(b">", at) + 1
        if name == f"{_RDF} RDF" and packet[at : at + 2] == b"</":
            places.end = at

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        packet.decode("utf-8")
        parser.Parse(packet, True)
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8") from error
    except expat.ExpatError as error:
        raise _unreadable(path, str(error)) from error
    if places.end < 0:
        raise _unreadable(path, "there is no rdf:RDF in it to write to")
    return places


def _without(packet: bytes, own: tuple[int, int]) -> bytes:
    rest = packet[own[1] :]
    return packet[: own[0]] + rest.removeprefix(b"\n")


def _unreadable(path: Path, reason: str) -> SidecarError:
    return SidecarError(
        f"The side-car {path} is left as it is: {reason}.", path=path, reason=reason
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _replace(path: Path, before: bytes | None, after: bytes) -> None:
    if before == after:
        return
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        unfinished.write_bytes(after)
        if before is not None:
            unfinished.chmod(path.stat().st_mode & 0o7777)
        sync_file(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
