"""Books on disk: one file of conversations, whole or not there, whatever the books are packed in."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coldframe.corpus.dialogue.books import conversations, extract
from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.messages import Message
from coldframe.errors import SourceError
from tests.commands import Commands
from tests.corpus.dialogue.passages import NARRATION, SPOKEN, mill, talk
from tests.corpus.reading.files import epub, zipped

ROOT = Path(__file__).parents[3]


def lines(path: Path) -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said(line: dict[str, Any]) -> list[str]:
    return [message["content"] for message in line["messages"]]


def long_book(number: int, times: int = 100) -> str:
    """Several conversations, none of which another book has."""
    talks = (
        f'"Is it {number} miles?" asked Anna.\n\n"It is {turn}," said Paul.\n\n{NARRATION * 9}' for turn in range(times)
    )
    return "\n\n".join(talks)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A folder of books: plain, packed, as pages, within an archive, and one without talk."""
    folder = tmp_path / "books"
    (folder / "old").mkdir(parents=True)
    (folder / "mill.txt").write_text(mill())
    (folder / "old" / "packed.txt.gz").write_bytes(gzip.compress(mill("“", "”").encode()))
    (folder / "two.zip").write_bytes(zipped({"a/one.txt": mill("«", "»"), "a/two.txt": mill("‘", "’")}))
    page = "".join(f"<p>{paragraph}</p>" for paragraph in mill().split("\n\n"))
    (folder / "web.html").write_text(f"<html><body><h1>Mill</h1>{page}</body></html>")
    (folder / "whole.epub").write_bytes(epub({"one": f"<html><body>{page}</body></html>"}))
    (folder / "treatise.txt").write_text("It rained. " * 500)
    return folder


def test_a_folder_of_books(books: Path, tmp_path: Path, coldframe: Commands) -> None:
    out = tmp_path / "new" / "talk.jsonl"
    answer = coldframe("corpus", "dialogue", books, "--out", out, "--processes", 1, "--json")
    assert answer.status == 0
    found = lines(out)
    assert [line["source"] for line in found] == [
        "mill.txt", "old/packed.txt.gz", "two.zip: a/one.txt", "two.zip: a/two.txt", "web.html",
        "whole.epub: in/one.xhtml",
    ]  # fmt: skip
    for line in found:
        assert set(line) == {"messages", "source", "spans"}
        assert said(line) == SPOKEN
        assert [message["role"] for message in line["messages"]] == ["user", "assistant", "user", "assistant", "user"]
        assert len(line["spans"]) == len(line["messages"])
    told = answer.json
    assert (told["books"], told["conversations"], told["pairs"]) == (7, 6, 24)
    assert told["set_aside"] == [["treatise.txt", "holds no conversation"]]
    assert told["examples"] == found[3:5]
    assert [path.name for path in out.parent.iterdir()] == ["talk.jsonl"], "nothing else is left"
    shown = coldframe("corpus", "dialogue", books, "--out", out, "--processes", 1)
    assert "set aside: treatise.txt: holds no conversation" in shown.out and SPOKEN[0] in shown.out


@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_spans_are_places_in_the_file(tmp_path: Path, coldframe: Commands, begin: str, end: str) -> None:
    text = begin + "Vögel — 🐦\n\n" + mill("“", "”") + "\n\n“Où?” asked Paul, “at\nthe mill?”\n\n“Où?”\n"
    book, out = tmp_path / "mill.txt", tmp_path / "talk.jsonl"
    book.write_bytes(text.replace("\n", end).encode())
    assert coldframe("corpus", "dialogue", book, "--out", out, "--processes", 1, "--json").status == 0
    content = book.read_bytes().decode()
    [line] = lines(out)
    pieces = [content[start:stop] for start, stop in line["spans"]]
    assert pieces[:5] == SPOKEN
    assert pieces[5] == f"Où?” asked Paul, “at{end}the mill?", "from the first word to the last, narration and all"
    assert said(line)[5:] == ["Où? at the mill?", "Où?"]


def test_two_processes_write_the_same(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text(long_book(number, 50))
    done: list[float] = []
    one = extract(paths, tmp_path / "one.jsonl", progress=done.append)
    assert extract(paths, tmp_path / "two.jsonl", processes=2) == one
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert (one.books, one.conversations, one.pairs) == (3, 150, 150)
    assert one.words == sum(len(path.read_text().split()) for path in paths)
    assert done == sorted(done) and done[-1] == 1.0


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """SIGKILL of a process of its own: the file is that of an undisturbed call, and the old one stays until then."""
    paths = []
    for number in range(40):
        paths.append(tmp_path / f"{number:02}.txt")
        paths[-1].write_text(long_book(number, 60))
    straight = extract(paths, tmp_path / "straight.jsonl")
    out, work = tmp_path / "talk.jsonl", tmp_path / ".talk.jsonl.partial"
    out.write_text("old\n")
    code = "import sys; from pathlib import Path; from coldframe.corpus.dialogue.books import extract\n"
    code += "extract([Path(path) for path in sys.argv[2:]], Path(sys.argv[1]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(out), *map(str, paths)], cwd=ROOT, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (work / ".dialogue.partial.journal").exists() or num_done(work) < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 4 <= num_done(work) < 40
    assert out.read_text() == "old\n"
    assert extract(paths, out) == straight
    assert out.read_bytes() == (tmp_path / "straight.jsonl").read_bytes()
    assert not work.exists()


def test_what_was_made_with_another_gap_is_not_gone_on_with(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for number, path in enumerate(paths):
        path.write_text(f'"It is {number}," said Anna.\n\n{NARRATION}\n\n"It is not," said Paul.\n\n"Go," said Anna.')

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(paths, tmp_path / "talk.jsonl", progress=stop)
    assert num_done(tmp_path / ".talk.jsonl.partial") == 1
    found = extract(paths, tmp_path / "talk.jsonl", gap=0)
    assert (found.conversations, found.pairs) == (2, 2)


def num_done(work: Path) -> int:
    """Batches in the journal."""
    return (work / ".dialogue.partial.journal").read_bytes().count(b"\n")


def test_another_gap_makes_it_anew(tmp_path: Path, coldframe: Commands) -> None:
    book, out = tmp_path / "a.txt", tmp_path / "talk.jsonl"
    book.write_text(f'"It is late," said Anna.\n\n{NARRATION}\n\n"It is not," said Paul.\n\n"Go," said Anna.')
    for gap, length in ((200, 3), (0, 2), (200, 3)):
        assert coldframe("corpus", "dialogue", book, "--out", out, "--gap", gap, "--processes", 1, "--json").status == 0
        assert [len(line["messages"]) for line in lines(out)] == [length]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("{books}", "--out", "{out}", "--gap", "-1"), 2, "--gap -1 is less than nothing"),
        (("{books}", "--out", "{books}"), 2, "is a folder"),
        (("{books}/nowhere", "--out", "{out}"), 1, "there is nothing at"),
        (
            ("{books}/treatise.txt", "--out", "{out}"),
            1,
            "there is no conversation in 1 books, the first: treatise.txt: holds",
        ),
        (("{books}/mill.pdf", "--out", "{out}"), 1, "is not of a kind that is read"),
    ],
)
def test_bad_input_is_one_line(
    books: Path, tmp_path: Path, coldframe: Commands, words: tuple[str, ...], status: int, message: str
) -> None:
    (books / "mill.pdf").write_bytes(b"%PDF")
    out = tmp_path / "new" / "talk.jsonl"
    given = [word.format(books=books, out=out) for word in words]
    answer = coldframe("corpus", "dialogue", *given, "--processes", 1, "--json")
    assert answer.status == status
    assert message in answer.error["message"]
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_nothing_found_leaves_the_old_file(books: Path, tmp_path: Path) -> None:
    out = tmp_path / "talk.jsonl"
    extract([books], out)
    before = out.read_bytes()
    with pytest.raises(SourceError, match="holds no conversation"):
        extract([books / "treatise.txt"], out)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["books", "talk.jsonl"]


def test_what_cannot_be_read_is_set_aside(books: Path, tmp_path: Path) -> None:
    (books / "cut.txt.gz").write_bytes(gzip.compress(long_book(1).encode())[:-50])
    (books / "junk.txt.gz").write_bytes(b"no archive")
    (books / "junk.zip").write_bytes(b"no archive")
    (books / "latin.txt").write_bytes(mill().replace("Anna", "Zoë").encode("latin-1"))
    (books / "one.txt").write_bytes((NARRATION + "\n").encode() * 99 + b"a bad \xff line\n\n" + mill().encode())
    (books / "tail.epub").write_bytes(b"PK")
    (books / "empty.txt").write_bytes(b"")
    found = extract([books], tmp_path / "talk.jsonl")
    reasons = dict(found.set_aside)
    assert "cut" in reasons["cut.txt.gz"] or "end" in reasons["cut.txt.gz"]
    assert {"junk.txt.gz", "junk.zip", "tail.epub"} <= set(reasons)
    assert "save it as UTF-8 (it seems to be Windows-1252 or Latin-1)" in reasons["latin.txt"]
    assert reasons["one.txt:100"] == "byte 0xff is not UTF-8: the line is left out"
    assert reasons["empty.txt"] == "holds no conversation"
    sources = [line["source"] for line in lines(tmp_path / "talk.jsonl")]
    assert len(sources) == 7 and "one.txt" in sources, "one bad line costs nothing else"


@pytest.mark.parametrize("packing", ["", ".gz"])
def test_utf_16(tmp_path: Path, packing: str) -> None:
    book, content = tmp_path / f"mill.txt{packing}", mill("“", "”").encode("utf-16")
    book.write_bytes(gzip.compress(content) if packing else content)
    extract([book], tmp_path / "talk.jsonl")
    [line] = lines(tmp_path / "talk.jsonl")
    assert [content.decode("utf-16")[start:end] for start, end in line["spans"]] == SPOKEN


def test_what_was_written_among_the_books_is_no_book(books: Path) -> None:
    out = books / "talk.jsonl"
    first = extract([books], out)
    before = out.read_bytes()
    assert extract([books], out) == first
    assert out.read_bytes() == before
    chats = extract([books], books / "again.jsonl")
    assert chats.conversations == first.conversations, "and of another's nothing is taken"
    assert ("talk.jsonl:1", "holds no conversation") in chats.set_aside


def test_books_in_rows(tmp_path: Path) -> None:
    path = tmp_path / "books.jsonl"
    chat = {"messages": [{"role": "user", "content": mill()}, {"role": "assistant", "content": mill()}]}
    rows = [{"text": mill()}, {"text": NARRATION * 9}, chat]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = extract([path], tmp_path / "talk.jsonl")
    assert [line["source"] for line in lines(tmp_path / "talk.jsonl")] == ["books.jsonl:1"]
    assert found.set_aside == tuple((f"books.jsonl:{row}", "holds no conversation") for row in (2, 3)), (
        "a chat is no book"
    )


def test_books_of_a_source_become_conversations() -> None:
    quarantine = Quarantine()
    chat = Document(text=mill(), place="chat", messages=(Message(role="user", content="a"),))
    books = [Document(text=f"It rained.\n\n{mill()}", place="mill"), Document(text=NARRATION, place="rain"), chat]
    [found] = conversations(books, 200, quarantine)
    assert found.place == "mill, character 13"
    assert [message.content for message in found.messages] == SPOKEN == talk(found_text := books[0].text)[0]
    assert found.text == "\n\n".join(SPOKEN) and found_text[13:].startswith(SPOKEN[0])
    assert quarantine.examples == [("rain", "holds no conversation"), ("chat", "holds no conversation")]
