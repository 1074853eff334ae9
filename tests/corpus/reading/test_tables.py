"""Rows of CSV, TSV and Parquet: a damaged one costs itself."""

from __future__ import annotations

import csv
import datetime
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.reading import tables
from coldframe.corpus.reading.entries import Entry, entries
from tests.corpus.reading.files import read_bytes, texts

FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def table(*lines):
    return "".join(f"{line}\n" for line in ("text,n", *lines))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,n\none,1\ntwo,2\n"),
        ("a.csv", "\ufefftext;n\r\none;1\r\n\r\ntwo;2\r\n"),
        ("a.csv", 'text\tn\none\t1\n"two"\t2'),
        ("a.tsv", "text\tn\none\t1\ntwo\n"),
        ("a.csv", "text,n\none,1\ntwo,2\n".encode("utf-16")),
    ],
)
def test_tables(tmp_path, name, content):
    assert texts(tmp_path, name, content) == ["one", "two"]


def test_places_are_lines(tmp_path):
    documents, bad = read_bytes(tmp_path, "a.csv", table('"one\n\nline",1', "two,2,3", "three,3"))
    assert {document.place: document.text for document in documents} == {"a.csv:2": "one\n\nline", "a.csv:6": "three"}
    assert bad == {"a.csv:5": "has 3 fields under 2 names"}


def test_names_of_columns(tmp_path):
    assert texts(tmp_path, "a.csv", "note,note,\none,two,three\n") == ["note: one\n\nnote 2: two\n\nthree"]
    documents, bad = read_bytes(tmp_path, "b.csv", "Prénom,n\nAnna,x\n".encode("latin-1"))
    assert [document.text for document in documents] == ["Prnom: Anna\n\nn: x"]
    assert list(bad) == ["b.csv:1"]


def test_bad_bytes_and_zeros_cost_their_row(tmp_path):
    content = table("one,1", "caf\udce9,2", "three,3", "fo\0\0ur,4", "five,5").encode("utf-8", "surrogateescape")
    documents, bad = read_bytes(tmp_path, "a.csv", content)
    assert [document.text for document in documents] == ["one", "three", "five"]
    assert list(bad) == ["a.csv:3", "a.csv:5"]


@pytest.mark.parametrize(
    "lines",
    [
        ('"two,2', "three,3", "four,4"),
        ('"two,2', '"three",3', "four,4"),
        ('"two,2', "three,3", '"fo""ur",4'),
    ],
)
def test_a_mark_that_nobody_closes_costs_its_line(tmp_path, lines):
    documents, bad = read_bytes(tmp_path, "a.csv", table("one,1", *lines))
    assert [document.text.replace('"', "") for document in documents] == ["one", "three", "four"]
    assert bad == {"a.csv:3": "has a quotation mark that is not closed"}


def test_prose_behind_such_a_mark_is_no_row(tmp_path):
    documents, bad = read_bytes(tmp_path, "a.csv", table("one,1", '"two and', "some lines", "more"))
    assert [document.text for document in documents] == ["one"]
    assert list(bad) == ["a.csv:3", "a.csv:4", "a.csv:5"]


def test_many_such_marks_take_no_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_READ_AGAIN", 1000)
    documents, bad = read_bytes(tmp_path, "a.csv", table("one,1", *['x"y,"z'] * 20_000))
    assert [document.text for document in documents] == ["one"]
    assert any("lines are left out" in reason for reason in bad.values())


def test_a_field_that_is_none_for_its_length(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST", 1000)
    before = csv.field_size_limit(999)
    try:
        documents, bad = read_bytes(tmp_path, "a.csv", table("one,1", "x" * 5000 + ",2", "three,3"))
    finally:
        csv.field_size_limit(before)
    assert [document.text for document in documents] == ["one", "three"]
    assert list(bad) == ["a.csv:3"]


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2).filter(any), max_size=8))
def test_what_is_written_is_read(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *records])
    path.write_bytes(written.getvalue().encode())
    quarantine = Quarantine()
    [entry] = entries(path, "a.csv", lambda ending: True, quarantine)
    assert isinstance(entry, Entry)
    assert [list(row.values()) for _, row in tables.table_rows(entry, quarantine)] == records
    assert not quarantine.count


def parquet(columns):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional package")
    modules = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an optional package")
    held = io.BytesIO()
    modules.write_table(pyarrow.table({name: pyarrow.array(*column) for name, column in columns.items()}), held,
                        compression="none")  # fmt: skip
    return held.getvalue()


def test_parquet_of_times_that_python_cannot_hold(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional package")
    times = ([1, 2, 3], pyarrow.timestamp("ns"))
    days = ([1, 1 << 30, 2], pyarrow.date32())
    content = parquet({"text": (["one", "two", "three"],), "at": times, "on": days})
    assert texts(tmp_path, "a.parquet", content) == ["one", "two", "three"]


def test_parquet_of_bytes(tmp_path):
    content = parquet({"text": ([b"caf\xc3\xa9", b"\xff", b"three"],), "on": ([datetime.date(2020, 1, 1)] * 3,)})
    documents, bad = read_bytes(tmp_path, "a.parquet", content)
    assert [document.text for document in documents] == ["café", "three"]
    assert list(bad) == ["a.parquet:2"]


def test_a_bad_byte_in_parquet_costs_its_row(tmp_path):
    content = parquet({"text": (["one", "two two two", "three"],)})
    documents, bad = read_bytes(tmp_path, "a.parquet", content.replace(b"two two two", b"two \xff\xff\xff two"))
    assert [document.text for document in documents] == ["one", "three"]
    assert list(bad) == ["a.parquet:2"]
