"""XML headers as a stream: the same whatever the pieces, and nothing that defines entities."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelarray.errors import FormatError
from reelarray.formats.xmltext import read_elements

WANTED = frozenset({"b", "d"})
TEXT = (
    '<?xml version="1.0"?><a xmlns:t="urn:t"><t:b unit="Hz"> 1&#50;<c>no</c>3 </t:b><c>no</c><c kind="x"><d/></c></a>'
)


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_the_same_elements_whatever_the_pieces(cuts: list[int]) -> None:
    body, ends = TEXT.encode(), sorted({0, *cuts, len(TEXT)})
    pieces = [body[start:stop] for start, stop in pairwise(ends)]
    b, d = read_elements("x.xml", pieces, WANTED)
    assert (b.names, b.attributes, b.text) == (("a", "b"), {"unit": "Hz"}, "123")
    assert (d.names, d.parent, d.parent_name, d.name, d.text) == (("a", "c", "d"), {"kind": "x"}, "c", "d", "")


def test_elements_come_before_the_document_is_whole() -> None:
    found = read_elements("x.xml", iter([b"<a><b>1</b>", b"<b>2</b>", b"oops"]), WANTED)
    assert [next(found).text, next(found).text] == ["1", "2"]
    with pytest.raises(FormatError, match=r"x\.xml: its header is no complete XML"):
        next(found)


@pytest.mark.parametrize(
    "body", [b"", b" ", b"<a>", b"<a></b>", b"<a/><a/>", b"<a/>rest", b"\xff\xfe<", b"<a>\0</a>", b"&x;"]
)
def test_what_is_no_xml(body: bytes) -> None:
    with pytest.raises(FormatError, match="no complete XML"):
        list(read_elements("x.xml", [body], WANTED))


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a SYSTEM 'http://localhost/x.dtd'><a/>",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>".encode("utf-16"),
        b"<?xml version='1.0' encoding='iso-8859-1'?><!DOCTYPE a><a/>",
    ],
)
def test_a_document_type_is_refused_before_it_says_anything(body: bytes) -> None:
    with pytest.raises(FormatError, match="document type"):
        list(read_elements("x.xml", [body], WANTED))


def test_depth_is_bounded() -> None:
    assert list(read_elements("x.xml", [b"<a>" * 256 + b"</a>" * 256], WANTED)) == []
    with pytest.raises(FormatError, match="nested deeper than 256"):
        list(read_elements("x.xml", [b"<a>" * 257 + b"</a>" * 257], WANTED))
