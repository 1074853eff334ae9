"""Folders, packed files and archives: what is in them is read, and what is not is said."""

from __future__ import annotations

import tarfile
import warnings

import pytest

from coldframe.corpus.reading.entries import kind_of
from tests.corpus.reading.files import PACK, json_lines, read, read_bytes, tarred, texts, zipped

FILES = {"in/a.txt": "one " * 300, "b.jsonl": json_lines({"text": "two"}, {"text": "three"}), "c.md": "# four"}
TEXTS = ["one " * 300, "two", "three", "# four\n"]
BLOCK = tarfile.BLOCKSIZE


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.TXT", (".txt", "")),
        ("a.jsonl.gz", (".jsonl", ".gz")),
        ("a.b.tgz", (".tar", ".gz")),
        ("a.tzst", (".tar", ".zst")),
        ("page.rst.txt", (".rst", "")),
        ("page.html.txt.xz", (".html", ".xz")),
        ("gz", ("", "")),
        (".gz", ("", "")),
    ],
)
def test_kinds(name, kind):
    assert kind_of(name) == kind


@pytest.mark.parametrize("packing", PACK)
def test_packed_files(tmp_path, packing):
    assert texts(tmp_path, f"a.jsonl.{packing}", PACK[packing](FILES["b.jsonl"].encode())) == ["two", "three"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.xz", "a.tar.bz2", "a.tar.zst"])
def test_archives(tmp_path, name):
    packing = kind_of(name)[1][1:]
    content = zipped(FILES) if name == "a.zip" else tarred(FILES)
    documents, bad = read_bytes(tmp_path, name, PACK[packing](content) if packing else content)
    assert [document.text for document in documents] == TEXTS
    assert documents[0].place == f"{name}: in/a.txt"
    assert documents[2].place == f"{name}: b.jsonl:2"
    assert not bad


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_an_archive_holds_besides(tmp_path, pack):
    name = f"a.{pack.__name__[:3]}"
    files = {"a.txt.gz": PACK["gz"](b"one"), "b.png": "x", "c": "x", "in.zip": zipped(FILES), "__MACOSX/._a.txt": "x"}
    documents, bad = read_bytes(tmp_path, name, pack(files))
    assert [document.text for document in documents] == ["one"]
    assert list(bad) == [name]
    assert "3 files within are of other kinds or packed once more" in bad[name]
    documents, bad = read_bytes(tmp_path, name, pack({}))
    assert (documents, bad) == ([], {name: "is empty"})


def test_a_damaged_member_of_a_zip_costs_itself(tmp_path):
    content = bytearray(zipped(FILES))
    content[content.index(b"b.jsonl") + len("b.jsonl") + 2] ^= 0xFF
    documents, bad = read_bytes(tmp_path, "a.zip", bytes(content))
    assert [document.text for document in documents] == [TEXTS[0], TEXTS[3]]
    assert list(bad) == ["a.zip: b.jsonl"]


def test_members_of_a_zip_that_cannot_be_opened(tmp_path):
    content = zipped(FILES)
    directory = content.index(b"PK\x01\x02")
    encrypted, unknown = bytearray(content), bytearray(content)
    encrypted[directory + 8] |= 1
    unknown[directory + 10] = 99
    documents, bad = read_bytes(tmp_path, "a.zip", bytes(encrypted))
    assert ([document.text for document in documents], bad) == (TEXTS[1:], {"a.zip: in/a.txt": "is encrypted"})
    documents, bad = read_bytes(tmp_path, "a.zip", bytes(unknown))
    assert [document.text for document in documents] == TEXTS[1:]
    assert "compression method is not supported" in bad["a.zip: in/a.txt"]


def test_a_zip_whose_list_is_damaged(tmp_path):
    content = bytearray(zipped(FILES))
    content[content.index(b"PK\x01\x02") + 32] = 103  # the first file's comment swallows what follows
    documents, bad = read_bytes(tmp_path, "a.zip", bytes(content))
    assert [document.text for document in documents] == TEXTS[:1]
    assert bad == {"a.zip": "says that it holds 3 files and names 1"}


def test_zips_that_cannot_be_opened(tmp_path):
    content = zipped({"é.txt": "one"})
    directory = content.index(b"PK\x01\x02")
    newer, name = bytearray(content), bytearray(content)
    newer[directory + 6] = 200
    name[directory + 46] = 0xFF
    nameless = content.replace(b"\xc3\xa9.txt", bytes(6))
    assert not read_bytes(tmp_path, "a.zip", nameless)[0]
    assert "1 file within is of other kinds" in read_bytes(tmp_path, "a.zip", nameless)[1]["a.zip"]
    for broken in (content[:-30], bytes(newer), bytes(name), b"", b"PK"):
        documents, bad = read_bytes(tmp_path, "a.zip", broken)
        assert not documents
        assert "the archive is damaged" in bad["a.zip"]
    assert read_bytes(tmp_path, "a.zip.gz", PACK["gz"](content))[1] == {
        "a.zip.gz": "is a zip packed once more: unpack the .gz"
    }


@pytest.mark.parametrize(
    ("start", "end", "kept", "reason"),
    [
        (4 * BLOCK, 5 * BLOCK, [TEXTS[0], TEXTS[3]], "blocks are damaged"),
        (4 * BLOCK + 5, 4 * BLOCK + 6, [TEXTS[0], TEXTS[3]], "blocks are damaged"),
        (4 * BLOCK, None, TEXTS[:1], "lacks its end"),
        (4 * BLOCK + 100, None, TEXTS[:1], "lacks its end"),
        (2 * BLOCK, None, [], "unexpected end of data"),
    ],
)
def test_a_tar_with_a_damaged_or_missing_part(tmp_path, start, end, kept, reason):
    content = tarred(FILES)
    assert content[4 * BLOCK :].startswith(b"b.jsonl")
    damaged = content[:start] + bytes(end - start) + content[end:] if end else content[:start]
    documents, bad = read_bytes(tmp_path, "a.tar", damaged)
    assert [document.text for document in documents] == kept
    assert reason in bad["a.tar"]


def test_a_tar_that_claims_exabytes_or_is_none(tmp_path):
    content = bytearray(tarred(FILES))
    content[124:136] = b"\x80" + bytes(2) + b"\x0f" * 9
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:BLOCK])
    documents, bad = read_bytes(tmp_path, "a.tar", bytes(content))
    assert not documents
    assert "longer than the whole" in bad["a.tar"]
    documents, bad = read_bytes(tmp_path, "b.tar", b"no tar " * 100_000)
    assert (documents, bad) == ([], {"b.tar": "the archive is damaged from here on: is not a tar"})


@pytest.mark.parametrize("packing", PACK)
def test_a_packed_tar_that_is_cut(tmp_path, packing):
    content = PACK[packing](tarred(FILES))
    for cut in (len(content) - 1, len(content) // 2, 0):
        documents, bad = read_bytes(tmp_path, f"a.tar.{packing}", content[:cut])
        assert bad or len(documents) == len(TEXTS)
        assert bad


def test_names_in_other_encodings_can_be_written_down(tmp_path):
    content = tarred({"caf\udce9.txt": "one"}, form=tarfile.GNU_FORMAT)
    assert [document.place for document in read_bytes(tmp_path, "a.tar", content)[0]] == ["a.tar: caf?.txt"]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "caf\udce9.txt").write_text("one")
    assert [document.place for document in read(folder)[0]] == ["caf?.txt"]


def test_files_are_closed(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for packing, pack in PACK.items():
            read_bytes(tmp_path, f"a.txt.{packing}", pack(b"one"))
            read_bytes(tmp_path, f"b.txt.{packing}", b"no such thing")
