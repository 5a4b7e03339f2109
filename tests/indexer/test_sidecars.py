"""XMP side-cars: captions are put in and taken out, and nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.sidecars import (
    SidecarError,
    remove_from_sidecar,
    sidecar_of,
    with_caption,
    write_sidecar,
)
from retrieval.images.xmp import findings

THEIRS = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<!-- by another program -->
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk="Other 1.0">
  <r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <r:Description r:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating='4'
       xmlns:dt="http://darktable.sf.net/" dt:history="gz04&amp;eJw"/>
    DESCRIBED
  </r:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()
OF_PEOPLE = (
    b'<r:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><r:Alt>'
    b'<r:li xml:lang="x-default">Grandma</r:li></r:Alt></dc:description></r:Description>'
)


def picture(folder: Path, before: bytes | None = None, name: str = "a.jpg.xmp") -> Path:
    path = folder / "a.jpg"
    path.write_bytes(b"pixels")
    if before is not None:
        (folder / name).write_bytes(before)
    return path


def test_a_new_sidecar_is_read_as_a_caption_and_goes_again(tmp_path: Path) -> None:
    path = picture(tmp_path)
    written = write_sidecar(path, "a <cat> & a dog", "compact")
    assert written == tmp_path / "a.jpg.xmp"
    assert findings(written.read_bytes()).facts.caption == "a <cat> & a dog"
    write_sidecar(path, "a cat", "blip")
    assert findings(written.read_bytes()).facts.caption == "a cat"
    assert written.read_bytes().count(b"CaptionBy=") == 1
    assert remove_from_sidecar(path)
    assert sorted(tmp_path.iterdir()) == [path]
    assert not remove_from_sidecar(path)
    assert path.read_bytes() == b"pixels"


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_what_others_wrote_stays_byte_by_byte(tmp_path: Path, name: str) -> None:
    before = THEIRS.replace(b"DESCRIBED", b"")
    path = picture(tmp_path, before, name)
    written = write_sidecar(path, "a cat", "compact")
    assert written.name == name and sidecar_of(path) == written
    after = written.read_bytes()
    place = after.index(b"<rdf:Description")
    end = after.index(b"</rdf:Description>\n") + len(b"</rdf:Description>\n")
    assert after[:place] + after[end:] == before
    assert findings(after).facts.rating == 4
    assert findings(after).facts.caption == "a cat"
    assert remove_from_sidecar(path)
    assert written.read_bytes() == before


def test_what_people_said_is_not_overruled(tmp_path: Path) -> None:
    path = picture(tmp_path, THEIRS.replace(b"DESCRIBED", OF_PEOPLE))
    written = write_sidecar(path, "a cat", "compact")
    assert findings(written.read_bytes()).facts.caption == "Grandma"
    assert b"<mmsearch:Caption>" in written.read_bytes()


@pytest.mark.parametrize(
    "before",
    [
        b"not XML at all",
        b"<a/>",
        "<x>\u00e9</x>".encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY b "c">]><a/>',
        b"",
    ],
)
def test_what_cannot_be_read_stays_as_it_is(tmp_path: Path, before: bytes) -> None:
    path = picture(tmp_path, before)
    with pytest.raises(SidecarError, match="left as it is"):
        write_sidecar(path, "a cat", "compact")
    assert (tmp_path / "a.jpg.xmp").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_gives_a_sidecar_that_can_be_read(text: str, model: str) -> None:
    path = Path("a.jpg.xmp")
    once = with_caption(THEIRS.replace(b"DESCRIBED", b""), text, model, path)
    assert findings(once).facts.rating == 4
    assert with_caption(once, text, model, path) == once


RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
OWN = "{urn:mmsearch:xmp:1.0#}CaptionBy"
EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'.encode()
SPACES = st.sampled_from(["", " ", "\n", "\r\n  ", "\t"])
VALUES = st.sampled_from(["1", "a &gt; b", "x/>", "</r:RDF>".replace("<", "&lt;"), "\u00e9\u6f22"])


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """XMP as programs write it: any prefix, one tag or two, with or without what surrounds it."""
    prefix = draw(st.sampled_from(["rdf", "r", "RDF-1"]))
    quote = draw(st.sampled_from("'\""))
    told = "".join(
        f'<{prefix}:Description xmlns:o="urn:o" o:is={quote}{value}{quote}/>{space}'
        for value, space in draw(st.lists(st.tuples(VALUES, SPACES), max_size=2))
    )
    odd = draw(st.sampled_from(["", "<!-- <rdf:RDF/> -->", "<?other <r:RDF -->?>"]))
    start = f'{prefix}:RDF xmlns:{prefix}="{RDF}" xmlns:n={quote}urn:>{quote}{draw(SPACES)}'
    inner = odd + draw(SPACES) + told
    tags = f"<{start}>{inner}</{prefix}:RDF{draw(SPACES)}>"
    rdf = tags if inner or draw(st.booleans()) else f"<{start}/>"
    if draw(st.booleans()):
        rdf = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{draw(SPACES)}{rdf}{draw(SPACES)}</x:xmpmeta>"
    head = draw(st.sampled_from(["", "\ufeff", '<?xml version="1.0"?>', "<!-- <r:RDF> -->"]))
    return (head + rdf + draw(SPACES)).encode()


@settings(deadline=None, max_examples=300)
@given(before=packets(), text=st.text(max_size=20))
def test_whatever_a_sidecar_is_like_its_bytes_come_back(
    before: bytes, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = picture(tmp_path_factory.mktemp("x"), before)
    written = write_sidecar(path, text, "compact").read_bytes()
    tree = ElementTree.fromstring(written.decode().removeprefix("\ufeff"))
    rdf = next(tree.iter(f"{{{RDF}}}RDF"))
    assert len(written) > len(before)
    assert [OWN in own.attrib for own in rdf].count(True) == 1
    assert sum(OWN in own.attrib for own in tree.iter()) == 1
    assert with_caption(written, text, "compact", path) == written
    assert remove_from_sidecar(path)
    assert path.with_name("a.jpg.xmp").read_bytes() == before


@pytest.mark.parametrize("ending", [b"/>", b" />", b"\n/>", b"/>\n\n"])
def test_an_rdf_of_one_tag_is_opened_and_closed_again(tmp_path: Path, ending: bytes) -> None:
    before = EMPTY.replace(b"/></x", ending + b"</x")
    path = picture(tmp_path, before)
    written = write_sidecar(path, "a cat", "compact")
    assert findings(written.read_bytes()).facts.caption == "a cat"
    write_sidecar(path, "a dog", "compact")
    assert findings(written.read_bytes()).facts.caption == "a dog"
    assert remove_from_sidecar(path)
    assert written.read_bytes() == before


def test_a_block_that_stands_behind_an_rdf_of_one_tag_is_taken_out(tmp_path: Path) -> None:
    whole = with_caption(THEIRS.replace(b"DESCRIBED", b""), "a cat", "compact", tmp_path)
    start = whole.index(b"<rdf:Description")
    block = whole[start : whole.index(b"</rdf:Description>") + len(b"</rdf:Description>\n")]
    path = picture(tmp_path, EMPTY.replace(b"</x", block + b"</x"))
    assert remove_from_sidecar(path)
    assert (tmp_path / "a.jpg.xmp").read_bytes() == EMPTY


def linked(folder: Path, before: bytes | None) -> tuple[Path, Path, Path]:
    """A picture, its side-car, which is a link, and what it leads to."""
    path = picture(folder)
    (folder / "kept").mkdir()
    target, link = folder / "kept" / "a.xmp", folder / "a.jpg.xmp"
    link.symlink_to(Path("kept") / "a.xmp")
    if before is not None:
        target.write_bytes(before)
    return path, link, target


@pytest.mark.skipif(os.name != "posix", reason="links need no permission there")
@pytest.mark.parametrize("before", [None, THEIRS.replace(b"DESCRIBED", b"")])
def test_a_link_stays_a_link_and_what_it_leads_to_is_written(
    tmp_path: Path, before: bytes | None
) -> None:
    path, link, target = linked(tmp_path, before)
    write_sidecar(path, "a cat", "compact")
    assert link.is_symlink() and not target.is_symlink()
    assert findings(target.read_bytes()).facts.caption == "a cat"
    assert remove_from_sidecar(path)
    assert link.is_symlink()
    assert (target.read_bytes() if target.exists() else None) == before
    assert [file.name for file in target.parent.iterdir()] == (["a.xmp"] if before else [])


@pytest.mark.skipif(os.name != "posix", reason="links and pipes need no permission there")
def test_what_is_no_file_or_leads_nowhere_is_left(tmp_path: Path) -> None:
    path = picture(tmp_path)
    sidecar = tmp_path / "a.jpg.xmp"
    sidecar.symlink_to(tmp_path / "no" / "folder.xmp")
    with pytest.raises(SidecarError, match="No such file"):
        write_sidecar(path, "a cat", "compact")
    assert sidecar.is_symlink()
    sidecar.unlink()
    os.mkfifo(sidecar)
    with pytest.raises(SidecarError, match="no regular file"):
        write_sidecar(path, "a cat", "compact")
    with pytest.raises(SidecarError, match="no regular file"):
        remove_from_sidecar(path)
    sidecar.unlink()
    sidecar.mkdir()
    with pytest.raises(SidecarError, match="Is a directory"):
        remove_from_sidecar(path)


@pytest.mark.parametrize("other", ["a.png", "a.JPG", "a.cr3", "a.MOV", "b.png"])
def test_a_sidecar_that_pictures_would_share_is_written_for_neither(
    tmp_path: Path, other: str
) -> None:
    path = picture(tmp_path, THEIRS, "a.xmp")
    (tmp_path / other).write_bytes(b"other pixels")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("letters' case does not count here")
    shared = other not in ("a.MOV", "b.png")
    assert sidecar_of(path).name == ("a.jpg.xmp" if shared else "a.xmp")
    written = write_sidecar(path, "a cat", "compact")
    assert written == sidecar_of(path)
    assert ((tmp_path / "a.xmp").read_bytes() == THEIRS) == shared


def test_what_was_written_before_another_picture_came_is_taken_out(tmp_path: Path) -> None:
    path = picture(tmp_path, THEIRS, "a.xmp")
    write_sidecar(path, "a cat", "compact")
    (tmp_path / "a.png").write_bytes(b"other pixels")
    write_sidecar(path, "a cat", "compact")
    assert remove_from_sidecar(path)
    assert (tmp_path / "a.xmp").read_bytes() == THEIRS
    assert not (tmp_path / "a.jpg.xmp").exists()
