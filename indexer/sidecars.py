"""Captions by models in XMP side-cars, the small files that other programs read beside pictures.

A picture's own file is never touched, and of a side-car that is there already not a byte is changed
but in the one `rdf:Description` that is written here and known again by its namespace. Where nobody
has described the picture there, the caption is given as `dc:description` too, which programs show.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from retrieval.errors import MmsearchError
from retrieval.images.formats import SUFFIXES as _PICTURES
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
# A start tag in bytes: what stands in quotes may hold a >.
_TAG = re.compile(rb"<(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>")


class SidecarError(MmsearchError):
    """A side-car cannot be read or written, and stays as it is."""

    code = "sidecar"


def sidecar_of(picture: Path) -> Path:
    """Where a picture's side-car is: `a.jpg.xmp`, or `a.xmp` where only that is there.

    `a.xmp` is nobody's where several pictures would share it, as `a.jpg` and `a.png`. Raises
    SidecarError where the folder cannot be looked at.
    """
    full, short = _sidecars_of(picture)
    try:
        is_short = short.exists() and not full.exists() and not _is_shared(picture)
    except OSError as error:
        raise _unreadable(full, error.strerror or str(error)) from error
    return short if is_short else full


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

    Both names are looked at, since other pictures or side-cars may have come since it was written.
    A side-car that holds nothing else, since it was made for that, is deleted. Raises SidecarError.
    """
    found, refused = False, None
    for path in _sidecars_of(picture):
        try:
            found |= _remove(path)
        except SidecarError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return found


def with_caption(packet: bytes, text: str, model: str, path: Path) -> bytes:
    """A side-car's bytes with the caption in it. Raises SidecarError; `path` is for its text."""
    places = _places(packet, path)
    if places.own is not None:
        packet = _without(packet, places)
        places = _places(packet, path)
    block = _block(text, model, is_described=places.is_described).encode()
    if places.empty is not None:
        # Without a line break after the block, by which `_without` knows the tag again.
        begun, end = places.empty
        name = re.split(rb"[\s/>]", packet[begun + 1 : end], maxsplit=1)[0]
        tags = packet[begun : end - 2] + b">", b"</" + name + b">"
        return packet[:begun] + tags[0] + block + tags[1] + packet[end:]
    return packet[: places.end] + block + b"\n" + packet[places.end :]


def _sidecars_of(picture: Path) -> tuple[Path, Path]:
    return picture.with_name(picture.name + SUFFIX), picture.with_suffix(SUFFIX)


def _is_shared(picture: Path) -> bool:
    """Whether another picture of the same name but for its end lies beside this one."""
    endings = {ending for suffix in _PICTURES for ending in (suffix, suffix.upper())}
    for ending in endings - {picture.suffix}:
        other = picture.with_suffix(ending)
        # Where letters' case does not count, it is the same file.
        if other.exists() and not (picture.exists() and other.samefile(picture)):
            return True
    return False


def _remove(path: Path) -> bool:
    before = _read(path)
    if before is None:
        return False
    places = _places(before, path)
    if places.own is None:
        return False
    after = _without(before, places)
    if after == _NEW:
        try:
            _target(path).unlink(missing_ok=True)
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
    else:
        _replace(path, before, after)
    return True


def _block(text: str, model: str, *, is_described: bool) -> str:
    said = f'<rdf:Alt><rdf:li xml:lang="x-default">{escape(_clean(text))}</rdf:li></rdf:Alt>'
    shown = "" if is_described else f"<dc:description>{said}</dc:description>"
    return (
        f'<rdf:Description xmlns:rdf="{_RDF}" xmlns:dc="{_DC}" xmlns:mmsearch="{_OWN}"'
        f' rdf:about="" mmsearch:CaptionBy={quoteattr(_clean(model))}>'
        f"<mmsearch:Caption>{said}</mmsearch:Caption>{shown}</rdf:Description>"
    )


def _clean(text: str) -> str:
    """Without what XML has no way to write."""
    return "".join(
        letter for letter in text if letter.isprintable() and not "\ud800" <= letter <= "\udfff"
    )


@dataclass
class _Places:
    """Where things are in a packet, in bytes.

    `end`: the end tag of rdf:RDF. `empty`: where rdf:RDF is one tag with nothing in it, its begin
    and end. `own`: what was written here, `around_own` the begin of the element that it is in.
    """

    end: int = -1
    empty: tuple[int, int] | None = None
    own: tuple[int, int] | None = None
    around_own: int = -1
    is_described: bool = False
    _open: list[tuple[int, bool]] = field(default_factory=list)


def _places(packet: bytes, path: Path) -> _Places:
    places = _Places()
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_declared: object) -> None:
        raise _unreadable(path, "it declares entities of its own")

    def start(name: str, attributes: dict[str, str]) -> None:
        is_own = name == f"{_RDF} Description" and f"{_OWN} CaptionBy" in attributes
        within_own = any(own for _, own in places._open)
        if f"{_DC} description" in (name, *attributes) and not within_own:
            places.is_described = True
        places._open.append((parser.CurrentByteIndex, is_own))

    def end(name: str) -> None:
        begun, is_own = places._open.pop()
        is_rdf = name == f"{_RDF} RDF"
        if not is_own and not is_rdf:
            return
        first, at = _tag_end(packet, begun), parser.CurrentByteIndex
        # Of an element that is one tag, expat says that it ends behind it.
        is_empty = packet[first - 2 : first] == b"/>"
        if is_own:
            places.own = begun, first if is_empty else _tag_end(packet, at)
            places.around_own = places._open[-1][0] if places._open else -1
        if is_rdf:
            places.end, places.empty = (begun, (begun, first)) if is_empty else (at, None)

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


def _tag_end(packet: bytes, begun: int) -> int:
    tag = _TAG.match(packet, begun)
    assert tag is not None
    return tag.end()


def _without(packet: bytes, places: _Places) -> bytes:
    """The packet as it was before its block; an element of one tag is one again."""
    assert places.own is not None
    begun, end = places.own
    before, rest = packet[:begun], packet[end:]
    if rest.startswith(b"\n"):
        return before + rest[1:]
    if (
        places.around_own >= 0
        and rest.startswith(b"</")
        and _tag_end(packet, places.around_own) == begun
    ):
        return before[:-1] + b"/>" + rest[_tag_end(rest, 0) :]
    return before + rest


def _unreadable(path: Path, reason: str) -> SidecarError:
    return SidecarError(
        f"The side-car {path} is left as it is: {reason}.", path=path, reason=reason
    )


def _read(path: Path) -> bytes | None:
    try:
        # A pipe would have its reader wait for ever.
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise _unreadable(path, "it is no regular file")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _target(path: Path) -> Path:
    """What a link leads to, be it there or not; what is none, as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _replace(path: Path, before: bytes | None, after: bytes) -> None:
    if before == after:
        return
    target = _target(path)
    unfinished = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        unfinished.write_bytes(after)
        if before is not None:
            unfinished.chmod(target.stat().st_mode & 0o7777)
        sync_file(unfinished)
        unfinished.replace(target)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
