"""XMP side-cars: captions are put in and taken out, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

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
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>',
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
