"""XML headers, read as a stream: only the elements asked for are kept, and document types are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.parsers import expat

from ..errors import FormatError

# Headers of instruments are some twenty elements deep; a file of opening tags only would fill the memory otherwise.
DEEPEST = 256


class Element(NamedTuple):
    """One element, at its end: names without namespaces from the root to itself, and the text right inside it."""

    names: tuple[str, ...]
    attributes: dict[str, str]
    parent: dict[str, str]
    text: str

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def parent_name(self) -> str:
        return self.names[-2] if len(self.names) > 1 else ""


def read_elements(path: str, pieces: Iterable[bytes], wanted: frozenset[str]) -> Iterator[Element]:
    """The elements of the local names `wanted`, in the order of their ends; `pieces` are the bytes of the document.

    Memory is that of one piece, whatever the document. `parent` holds the attributes of the parent. Raises
    `FormatError` naming the file for what is not XML from its first byte to its last, for a document type (nothing
    that instruments write has one, and the entities that it may define can grow without bound), and for elements
    nested deeper than `DEEPEST`.

    >>> pieces = [b'<a xmlns="x"><b unit="Hz">1', b"2</b><c/></a>"]
    >>> [(found.names, found.text) for found in read_elements("x.xml", pieces, frozenset({"b"}))]
    [(('a', 'b'), '12')]
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    names: list[str] = []
    attributes: list[dict[str, str]] = []
    texts: list[list[str] | None] = []
    found: list[Element] = []

    def begin(name: str, given: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        names.append(name)
        attributes.append(given)
        texts.append([] if name in wanted else None)
        if len(names) > DEEPEST:
            raise FormatError(f"{path}: its XML is nested deeper than {DEEPEST} elements; it is no header: skip it")

    def end(_: str) -> None:
        text, given = texts.pop(), attributes.pop()
        if text is not None:
            parent = attributes[-1] if attributes else {}
            found.append(Element(tuple(names), given, parent, "".join(text).strip()))
        names.pop()

    def characters(text: str) -> None:
        if texts[-1] is not None:
            texts[-1].append(text)

    def refuse(*_: object) -> None:
        # An exception in a handler stops expat at once: no entity has been defined yet, let alone expanded.
        raise FormatError(
            f"{path}: its XML has a document type (<!DOCTYPE ...>), which no instrument writes and which is not read; "
            "skip the file, or remove it from the header if you trust where it comes from"
        )

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = characters, refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)
            yield from found
            found.clear()
        parser.Parse(b"", True)
    except FormatError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that is none
        raise FormatError(
            f"{path}: its header is no complete XML ({error}); the file was cut short, or is damaged: skip it"
        ) from None
