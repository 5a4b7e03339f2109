"""The properties in a packet of XMP, which is a small part of RDF written as XML.

The XML is read as a stream by Python's own expat. A DOCTYPE is refused, since all that XML can do
harm with, entities that unfold without end or that name other files, is declared in one. What a
packet holds before it turns out to be garbled, or without end, is kept.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple
from xml.parsers import expat

from retrieval.images.written import MAX_KEYWORDS, MAX_TEXT_CHARS

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DESCRIPTION, _ROOT, _ITEM, _VALUE = (
    f"{_RDF} {name}" for name in ("Description", "RDF", "li", "value")
)
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_MAX_DEPTH = 100
# More than the longest histories that editors keep, and less than a second.
_MAX_ELEMENTS = 300_000
# With what is cut off later: blanks, and encodings taken for another.
_MAX_CHARS = 2 * MAX_TEXT_CHARS
# As many as keywords, and then some that will turn out to be the same.
_MAX_VALUES = 2 * MAX_KEYWORDS


class Value(NamedTuple):
    """One value of a property; the language is empty for all that is in no language."""

    text: str
    language: str


# By the namespace and the name, with a space between.
Properties = dict[str, list[Value]]


def read_packet(packet: bytes, wanted: frozenset[str]) -> Properties:
    """Read properties.

    Args:
        packet: XML in UTF-8 or UTF-16, with `rdf:RDF` somewhere in it.
        wanted: Which properties, as `NAMESPACE NAME`.

    Returns:
        Their values in order. Empty where the packet has a DOCTYPE.
    """
    reader = _Reader(wanted)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # XML has to begin with the first byte, but NULs belong to UTF-16.
    blanks = b" \t\r\n" if b"\0" in packet[:4] else b"\0 \t\r\n"
    with suppress(expat.ExpatError, _Refused, LookupError, ValueError):
        parser.Parse(packet.strip(blanks), True)
    return reader.properties


class _Refused(Exception):  # noqa: N818 - it is no error, the packet is.
    pass


class _Reader:
    """Follows the elements: a description, in it properties, in these values."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self.properties: Properties = {}
        self._wanted = wanted
        self._open: list[str] = []
        self._elements = 0
        # How deep the property at hand is, its name, and what was read of its value so far.
        self._depth = 0
        self._property = ""
        self._language = ""
        self._text = ""

    def refuse(self, *_declared: object) -> None:
        self.properties = {}
        raise _Refused

    def start(self, name: str, attributes: dict[str, str]) -> None:
        within = self._open[-2:]
        self._open.append(name)
        self._elements += 1
        if len(self._open) > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            raise _Refused
        if name == _DESCRIPTION and within[-1:] == [_ROOT]:
            for attribute, text in attributes.items():
                self._keep(attribute, text, "")
        elif within == [_ROOT, _DESCRIPTION]:
            self._depth, self._property = len(self._open), name
            self._language = self._text = ""
        if name == _ITEM:
            self._language, self._text = attributes.get(_LANGUAGE, ""), ""
        elif name == _VALUE:
            # What was there before is blanks, or says something about the value.
            self._text = ""

    def text(self, text: str) -> None:
        if self._property in self._wanted and self._is_value() and len(self._text) < _MAX_CHARS:
            self._text += text[:_MAX_CHARS]

    def end(self, name: str) -> None:
        if self._property and (name == _ITEM or len(self._open) == self._depth):
            self._keep(self._property, self._text, self._language)
            self._text = ""
        if len(self._open) == self._depth:
            self._depth, self._property = 0, ""
        self._open.pop()

    def _is_value(self) -> bool:
        """Whether the innermost element holds a value rather than a part of a structure."""
        return len(self._open) == self._depth or self._open[-1] in (_ITEM, _VALUE)

    def _keep(self, name: str, text: str, language: str) -> None:
        if name not in self._wanted or not text.strip():
            return
        values = self.properties.setdefault(name, [])
        if len(values) < _MAX_VALUES:
            values.append(Value(text[:_MAX_CHARS], language.lower()))
