"""A bad byte costs its line."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.reading import lines


def decode(content, line=1):
    quarantine = Quarantine()
    text = lines.decoded(content, "file", line, quarantine)
    return text, dict(quarantine.examples)


def page(content):
    quarantine = Quarantine()
    return lines.page_source(content, "page", quarantine), dict(quarantine.examples)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])), min_size=1), st.data())
def test_each_bad_line_is_named_and_left_out(good, data):
    bad = data.draw(st.integers(0, len(good) - 1))
    content = [line.encode() for line in good]
    content[bad] += b"\xff"
    text, found = decode(b"\n".join([*content, *[b"fine"] * 50]), 7)
    assert text == "\n".join([*good[:bad], *good[bad + 1 :], *["fine"] * 50])
    assert found == {f"file:{bad + 7}": "byte 0xff is not UTF-8: the line is left out"}


def test_the_bad_byte_is_the_one_that_is_named():
    assert decode("é".encode() + b"\x80\n" + b"fine\n" * 50)[1] == {
        "file:1": "byte 0x80 is not UTF-8: the line is left out"
    }


def test_zeros_are_named_where_they_begin():
    text, found = decode(b"one\ntwo" + bytes(500) + b"\nthree")
    assert text == "one\ntwo\nthree"
    assert found == {"file:2": "500 zero bytes, from here on, are left out"}


def test_a_text_that_is_too_large():
    quarantine = Quarantine()
    assert lines.whole_text(io.BytesIO(b"x" * (1 << 20)), "file", quarantine, 1 << 20) is not None
    assert lines.whole_text(io.BytesIO(b"x" * (1 << 20) + b"x"), "file", quarantine, 1 << 20) is None
    assert quarantine.examples == [("file", "is larger than 1 MB, which files of this kind are read up to")]


@pytest.mark.parametrize("encoding", ["iso-8859-2", "windows-1251", "utf-8", "shift_jis"])
def test_a_page_is_read_in_the_encoding_that_it_names(encoding):
    word = {"iso-8859-2": "źródło", "windows-1251": "вода", "utf-8": "Größe", "shift_jis": "水です"}[encoding]
    content = f'<meta charset="{encoding}"><p>{word}</p>'.encode(encoding)
    assert page(content) == (content.decode(encoding), {})


def test_a_bad_byte_does_not_turn_a_page_into_another_encoding():
    text, found = page(("<p>Größe und naïve Wörter</p>\n" * 60).encode() + b"<p>\xe9</p>\n")
    assert text == "<p>Größe und naïve Wörter</p>\n" * 60
    assert found == {"page:61": "byte 0xe9 is not UTF-8: the line is left out"}


@given(st.binary(max_size=300), st.integers(8, 40))
def test_parts_are_the_whole_and_not_too_long(content, whole):
    before, lines.WHOLE = lines.WHOLE, whole
    try:
        found = list(lines.parts(io.BytesIO(content)))
    finally:
        lines.WHOLE = before
    assert b"".join(part for _, part in found) == content
    assert all(len(part) <= whole for _, part in found)
    assert [line for line, _ in found] == [1 + content[: sum(len(part) for _, part in found[:number])].count(b"\n")
                                           for number in range(len(found))]  # fmt: skip


@given(st.text(min_size=20), st.integers(8, 40))
def test_parts_end_between_letters(text, whole):
    before, lines.WHOLE = lines.WHOLE, whole
    try:
        assert "".join(part.decode() for _, part in lines.parts(io.BytesIO(text.encode()))) == text
    finally:
        lines.WHOLE = before


def test_a_file_of_halves_of_letters_has_parts(monkeypatch):
    monkeypatch.setattr(lines, "WHOLE", 100)
    assert sum(len(part) for _, part in lines.parts(io.BytesIO(b"\x80" * 1000))) == 1000
