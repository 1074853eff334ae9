"""Files of every format, whole and damaged: nothing raises, nothing hangs, and what is lost is listed."""

from __future__ import annotations

import functools
import io
import json
import random
import time

import pytest

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.reading.formats import ENDINGS, documents_of, is_known, is_of_rows
from coldframe.corpus.reading.layout import Layout
from coldframe.corpus.reading.paths import read_file
from tests.corpus.reading.files import PACK, epub, json_lines, read, read_bytes, tarred, texts, zipped

ROWS = [{"text": f"Row {number} says naïve things: {number * 7919}.", "id": number} for number in range(40)]
LINES = json_lines(*ROWS)
PAGE = "<html><head><title>Größe</title></head><body>\n{}</body></html>"
PAGES = {name: PAGE.format("\n".join(f"<p>Part {name} {n}</p>" for n in range(60))) for name in ("one", "two", "three")}
MEMBERS = {"a.txt": "Ünder one roof.\n" * 90, "b.jsonl": LINES, "c.md": "# Title\n\nwörds\n" * 60}


def csv(delimiter=","):
    rows = [delimiter.join((f'"{row["text"]}"', str(row["id"]))) for row in ROWS]
    return "\n".join([delimiter.join(("text", "id")), *rows]) + "\n"


@functools.cache
def parquet():
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional package")
    modules = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an optional package")
    held = io.BytesIO()
    modules.write_table(pyarrow.Table.from_pylist(ROWS), held, row_group_size=10)
    return held.getvalue()


ENDLESS = {
    "a.txt": "Line naïve after line.\n" * 80,
    "a.md": "# Title\n\nnaïve words\n" * 80,
    "a.rst": "Title\n=====\n\n:func:`naïve` words\n\n" * 80,
    "a.html": PAGES["one"],
    "a.csv": csv(),
    "a.tsv": csv("\t"),
    "a.jsonl": LINES,
    "a.yaml": "".join(f"- text: '{row['text']}'\n" for row in ROWS),
    "wide.csv": csv().encode("utf-16"),
}
"""Files that do not tell where they end."""
UNSEEN = {"wide.csv": ("cut", "bit")}
"""Damage that cannot be seen: a cut between two rows, and in UTF-16 a wrong bit, which makes another letter."""
WITH_END = {
    "a.json": lambda: json.dumps(ROWS),
    "b.json": lambda: json.dumps({"data": ROWS}, indent=1),
    "a.epub": lambda: epub(PAGES),
    "a.parquet": parquet,
    "a.zip": lambda: zipped(MEMBERS),
    "a.tar": lambda: tarred(MEMBERS),
    **{f"a.jsonl.{name}": lambda pack=pack: pack(LINES.encode()) for name, pack in PACK.items()},
    **{f"a.tar.{name}": lambda pack=pack: pack(tarred(MEMBERS)) for name, pack in PACK.items()},
    "b.txt.gz": lambda: PACK["gz"](MEMBERS["a.txt"].encode()),
    "b.parquet.zst": lambda: PACK["zst"](parquet()),
}
INTACT = ENDLESS | WITH_END


def intact(name):
    content = INTACT[name]() if callable(INTACT[name]) else INTACT[name]
    return content.encode() if isinstance(content, str) else content


def damaged(content, seed, times):
    """(kind, content): cut, with a bit that is wrong, with zeros in it."""
    chosen = random.Random(seed)
    for number in range(times):
        yield "cut", content[: number * len(content) // times]
        yield "cut", content[: -1 - chosen.randrange(min(len(content) - 1, 40))]
        at = chosen.randrange(len(content))
        yield "bit", content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :]
        at, size = chosen.randrange(len(content)), chosen.choice([1, 30, 600])
        yield "zeros", content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]


@pytest.mark.parametrize("name", INTACT)
def test_every_format_is_read(tmp_path, name):
    found = texts(tmp_path, name, intact(name))
    assert found
    assert all("naïve" in text or "ünder" in text.lower() or "wörds" in text or "Part" in text for text in found)


@pytest.mark.parametrize("name", INTACT)
@pytest.mark.timeout(60)
def test_damage_neither_raises_nor_hangs_and_what_is_lost_is_listed(tmp_path, name):
    content = intact(name)
    whole = len(read_bytes(tmp_path, name, content)[0])
    for kind, broken in damaged(content, name, 12):
        start = time.process_time()
        documents, bad = read_bytes(tmp_path, name, broken)
        assert time.process_time() - start < 5
        if len(documents) < whole and (name in WITH_END or kind not in UNSEEN.get(name, ("cut",))):
            assert bad, (kind, len(broken))


@pytest.mark.parametrize("name", INTACT)
@pytest.mark.parametrize(
    "content", [b"", b"\n", bytes(3000), b"\xff" * 3000, random.Random(1).randbytes(3000), b"{[(<\"'&*-:,;\t" * 500]
)
def test_what_is_nothing_of_the_kind(tmp_path, name, content):
    documents, bad = read_bytes(tmp_path, name, content)
    assert bad or documents


def test_a_folder_of_broken_files_of_every_format(tmp_path):
    for name in INTACT:
        content = intact(name)
        folder = tmp_path / "files" / name
        folder.mkdir(parents=True)
        (folder / f"fine.{name}").write_bytes(content)
        (folder / f"empty.{name}").write_bytes(b"")
        (folder / f"other.{name}").write_bytes(b"\x93" * 1000)
        (folder / f"half.{name}").write_bytes(content[: len(content) // 2])
    documents, bad = read(tmp_path / "files")
    fine = sum(len(texts(tmp_path, name, intact(name))) for name in INTACT)
    assert len([document for document in documents if "/fine." in document.place]) == fine
    for name in INTACT:
        other = ["other"] if name != "a.html" else []  # any bytes are a page in some encoding
        for kind in ("empty", *other, *(["half"] if name in WITH_END else [])):
            assert any(place.startswith(f"{name}/{kind}.{name}") for place in bad), (name, kind)
        assert not any(place.startswith(f"{name}/fine") for place in bad)


def test_rows_before_the_damage_are_read_however_few(tmp_path):
    for packing, pack in PACK.items():
        held = pack(json_lines({"text": "one"}, {"text": "two"}).encode())
        documents, bad = read_bytes(tmp_path, f"a.jsonl.{packing}", held + b"no such stream")
        assert [document.text for document in documents] == ["one", "two"]
        assert "cannot be read on from here" in bad[f"a.jsonl.{packing}"]


def test_an_empty_file_is_listed_behind_other_losses(tmp_path):
    (tmp_path / "a.jsonl").write_text("no JSON\n")
    (tmp_path / "b.csv").write_text("text\n")
    assert read(tmp_path)[1].keys() == {"a.jsonl:1", "b.csv"}


def test_the_layout_is_told_once_a_file(tmp_path):
    told = []
    path = tmp_path / "a.jsonl"
    path.write_text(LINES)
    found = list(read_file(path, "a", None, Quarantine(), lambda place, layout: told.append((place, str(layout)))))
    assert len(found) == len(ROWS)
    assert told == [("a", "text in 'text'")]
    list(read_file(path, "a", Layout(text=("id",)), Quarantine(), lambda place, layout: told.append(layout.text)))
    assert told[1:] == [("id",)]


def test_the_kinds():
    assert all(map(is_known, ENDINGS))
    assert not is_known(".pdf")
    assert [ending for ending in (".jsonl", ".txt", ".zip") if is_of_rows(ending)] == [".jsonl"]
    assert callable(documents_of)
