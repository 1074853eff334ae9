"""Bytes on their way in: unpacked, in UTF-8, and with an end."""

from __future__ import annotations

import bz2
import io
import lzma

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.reading.entries import DAMAGE
from coldframe.corpus.reading.streams import Unending, joined, unpacked, utf8
from tests.corpus.reading.files import PACK

NEW = {"xz": lzma.LZMADecompressor, "bz2": bz2.BZ2Decompressor, "zst": None}


def unpack(packing, content):
    return unpacked(io.BytesIO(content), NEW[packing]).read()


@pytest.mark.parametrize("packing", NEW)
@given(pieces=st.lists(st.binary(max_size=5000), max_size=4), padding=st.integers(0, 5000))
def test_streams_one_behind_the_other(packing, pieces, padding):
    content = b"".join(PACK[packing](piece) + bytes(padding) for piece in pieces)
    assert unpack(packing, content) == b"".join(pieces)


@pytest.mark.parametrize("packing", NEW)
def test_a_cut_or_what_is_no_stream_is_damage(packing):
    content = PACK[packing](b"one")
    broken = [content + b"x", content + b"x" + content, content + content[:-1]]
    for damaged in [*broken, *(content[:cut] for cut in range(1, len(content)))]:
        with pytest.raises(DAMAGE):
            unpack(packing, damaged)


@pytest.mark.parametrize("packing", NEW)
def test_little_that_becomes_much_comes_in_pieces(packing):
    content = {"xz": lzma.compress, "bz2": bz2.compress, "zst": zstandard.compress}[packing](bytes(20_000_000))
    file = unpacked(io.BytesIO(content), NEW[packing])
    assert file.read(10) == bytes(10)
    assert sum(len(block) for block in iter(lambda: file.read(1 << 20), b"")) == 20_000_000 - 10


@given(st.text(), st.sampled_from(["utf-16", "utf-8", "utf-8-sig"]))
def test_text_in_utf_16_comes_in_utf_8(text, encoding):
    content = text.encode(encoding)
    expected = content if encoding != "utf-16" and content[:2] not in (b"\xff\xfe", b"\xfe\xff") else text.encode()
    assert utf8(io.BufferedReader(io.BytesIO(content))).read() == expected


def test_half_a_letter_is_a_bad_byte():
    content = "one\ntwo".encode("utf-16")
    assert utf8(io.BufferedReader(io.BytesIO(content[:-1]))).read() == b"one\ntw\xff"
    half = "one\n".encode("utf-16") + b"\x00\xd8" + "\nthree".encode("utf-16-le")
    lines = utf8(io.BufferedReader(io.BytesIO(half))).read().split(b"\n")
    assert [lines[0], lines[2]] == [b"one", b"three"]
    with pytest.raises(UnicodeDecodeError):
        lines[1].decode()


def test_what_was_read_already_is_joined():
    file = io.BytesIO(b"one\ntwo\nthree")
    assert list(joined(file.read(5), file)) == [b"one\n", b"two\n", b"three"]


def test_nobody_reads_on_and_on_behind_the_end():
    file = Unending(io.BytesIO(b"one"))
    assert file.read(10) == b"one"
    assert file.read(10) == b""
    with pytest.raises(EOFError):
        for _ in range(100):
            file.read(10)
