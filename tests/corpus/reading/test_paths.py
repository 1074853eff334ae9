"""A user's own text, with all that is wrong with real files."""

import json
import logging
import os

import pytest

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.messages import Message
from coldframe.corpus.reading import lines
from coldframe.corpus.reading.layout import Layout
from coldframe.corpus.reading.paths import open_path
from coldframe.errors import SourceError


def read(path, *fields):
    """(documents by place, bad pieces)"""
    quarantine = Quarantine()
    _, _, reader, _ = open_path(str(path), Layout(text=fields) if fields else None)
    documents = {document.place: document for document in reader(quarantine)}
    return documents, dict(quarantine.examples)


def texts(path, *fields):
    return {place: document.text for place, document in read(path, *fields)[0].items()}


def test_a_folder_is_read_in_a_fixed_order_and_hidden_files_are_not(tmp_path):
    for name in ("b/two.md", "a.txt", "b/One.TXT", ".git/config.txt", ".hidden.md", "b/picture.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    assert list(texts(tmp_path)) == ["a.txt", "b/One.TXT", "b/two.md"]
    assert list(texts(tmp_path / "a.txt")) == ["a.txt"]


def test_byte_order_mark_and_line_ends(tmp_path):
    (tmp_path / "book.txt").write_bytes("\ufeffOne.\r\nTwo é.\r\n".encode())
    assert texts(tmp_path) == {"book.txt": "One.\nTwo é.\n"}


def test_a_bad_byte_costs_its_line_and_another_encoding_the_file(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"fine\nfine\ncaf\xe9\nfine again\n")
    (tmp_path / "cut.txt").write_bytes("half a letter é".encode()[:-1])
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "empty.txt").write_bytes(b"\xef\xbb\xbf \n")
    (tmp_path / "latin.txt").write_bytes("Le café était fermé.\n".encode("latin-1") * 50)
    (tmp_path / "wide.txt").write_bytes("Größe".encode("utf-16"))
    (tmp_path / "picture.txt").write_bytes(bytes(range(256)) * 40)
    documents, bad = read(tmp_path)
    assert {place: document.text for place, document in documents.items()} == {
        "bad.txt": "fine\nfine\nfine again\n",
        "good.txt": "good",
        "wide.txt": "Größe",
    }
    assert bad["bad.txt:3"] == "byte 0xe9 is not UTF-8: the line is left out"
    assert "the line is left out" in bad["cut.txt:1"]
    assert bad["empty.txt"] == "is empty"
    assert bad["latin.txt"] == (
        "is not UTF-8 in 50 of 51 lines, the first 1; save it as UTF-8 (it seems to be Windows-1252 or Latin-1)"
    )
    assert bad["picture.txt"] == "is not text: it holds zero bytes"


def test_bad_lines_cost_only_themselves(tmp_path):
    lines = [
        b'\xef\xbb\xbf{"text": "one"}',
        b'{"text": "two"',
        b"",
        b"[1, 2]",
        b"null",
        b'{"text": true}',
        b'{"body": "elsewhere", "id": 3}',
        b'{"text": "  "}',
        b'{"text": "caf\xe9"}',
        rb'{"text": "\ud800"}',
        b'{"text": "last"}',
    ]
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(lines))
    documents, bad = read(tmp_path)
    assert [document.text for document in documents.values()] == ["one", "last"]
    assert list(documents) == ["lines.jsonl:1", "lines.jsonl:11"]
    assert sorted(bad) == sorted(f"lines.jsonl:{number}" for number in (2, 4, 5, 6, 7, 8, 9, 10))
    assert bad["lines.jsonl:7"] == "has no text in 'text' (it has body, id)"
    assert bad["lines.jsonl:4"] == "is list, not an object with fields"


def test_what_only_some_json_readers_take_is_read(tmp_path):
    lines = [rb'{"text": "half a pair \ud83d, and on"}', b'{"text": "a number", "score": NaN}', b"[" * 100_000]
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(lines))
    documents, bad = read(tmp_path)
    assert [document.text for document in documents.values()] == ["half a pair , and on", "a number"]
    assert list(bad) == ["lines.jsonl:3"]


def test_a_file_of_control_characters_is_empty(tmp_path):
    (tmp_path / "lost.txt").write_bytes(bytes(5000))
    documents, bad = read(tmp_path)
    assert not documents
    assert bad["lost.txt"].startswith("is empty")


def test_linked_folders_are_read_once(tmp_path):
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "one.txt").write_text("one")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "linked").symlink_to(tmp_path / "books")
    (tmp_path / "text" / "again").symlink_to(tmp_path / "books")
    (tmp_path / "text" / "up").symlink_to(tmp_path / "text")
    assert list(texts(tmp_path / "text").values()) == ["one"]


def test_named_fields_are_joined(tmp_path):
    (tmp_path / "qa.jsonl").write_text(json.dumps({"question": "Why?", "answer": "Because."}) + "\n")
    assert texts(tmp_path, "question", "answer") == {"qa.jsonl:1": "Why?\n\nBecause."}


def test_conversations_keep_their_messages(tmp_path):
    good = {"messages": [{"role": "user", "content": "hi\r\n"}, {"role": "assistant", "content": "hello"}]}
    bad = {"messages": [{"role": "robot", "content": "hi"}]}
    (tmp_path / "chat.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    documents, quarantined = read(tmp_path)
    assert documents["chat.jsonl:1"].messages == (
        Message(role="user", content="hi\n"),
        Message(role="assistant", content="hello"),
    )
    assert quarantined == {"chat.jsonl:2": "message 1 has the role 'robot'"}


def test_messages_beside_an_empty_text_are_read(tmp_path):
    good = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    rows = [
        {"text": "", "messages": good},
        {"text": " \n\ufeff\x00", "messages": good},
        {"text": None, "messages": good},
        {"text": "a text", "messages": good},
        {"text": "", "messages": []},
        {"text": "", "messages": None},
        {"text": "", "messages": [{"role": "robot", "content": "hi"}]},
        {"text": "another text", "messages": None},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    documents, bad = read(tmp_path)
    assert {place: len(document.messages) for place, document in documents.items()} == {
        "rows.jsonl:1": 2,
        "rows.jsonl:2": 2,
        "rows.jsonl:3": 2,
        "rows.jsonl:4": 2,
        "rows.jsonl:8": 0,
    }
    assert bad == {
        "rows.jsonl:5": "has no list of turns in 'messages'",
        "rows.jsonl:6": "has no list of turns in 'messages'",
        "rows.jsonl:7": "message 1 has the role 'robot'",
    }


def test_calls_and_answers_are_cleaned_like_all_text(tmp_path):
    messages = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": "\ufeffI look.", "call": "clock(\r\n'here\x00')\ud800"},
        {"role": "tool", "content": "noon\r"},
        {"role": "assistant", "content": "Noon."},
    ]
    (tmp_path / "chat.jsonl").write_text(json.dumps({"messages": messages}))
    [document] = read(tmp_path)[0].values()
    assert document.messages[1] == Message(role="assistant", content="I look.", call="clock(\n'here')")
    assert document.messages[2].content == "noon\n"
    assert document.messages[3].call is None


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional package")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an optional package")
    parquet.write_table(pyarrow.table({"text": ["one", None, "three"], "n": [1, 2, 3]}), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    documents, bad = read(tmp_path)
    assert {place: document.text for place, document in documents.items()} == {
        "a.parquet:1": "one",
        "a.parquet:3": "three",
        "b.parquet:1": "x",
    }
    assert set(bad) == {"a.parquet:2", "c.parquet"}
    documents, bad = read(tmp_path, "text")
    assert set(bad) == {"a.parquet:2", "b.parquet:1", "c.parquet"}
    assert bad["b.parquet:1"] == "has no text in 'text' (it has body)"


def test_parquet_conversations(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional package")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an optional package")
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    parquet.write_table(pyarrow.table({"messages": [messages]}), tmp_path / "a.parquet")
    documents, bad = read(tmp_path)
    assert not bad
    assert [message.content for message in documents["a.parquet:1"].messages] == ["hi", "hello"]


def test_a_very_long_file_comes_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "WHOLE", 1000)
    paragraphs = "\n\n".join(f"Paragraph {number}, with an é or two: ééé." for number in range(100))
    (tmp_path / "long.txt").write_text(paragraphs, encoding="utf-8")
    (tmp_path / "unbroken.txt").write_text("中" * 2000, encoding="utf-8")
    documents = texts(tmp_path)
    long = [text for place, text in documents.items() if place.startswith("long")]
    assert "".join(long) == paragraphs
    assert len(long) > 3
    assert all(text.startswith("Paragraph") for text in long)
    assert "".join(text for place, text in documents.items() if place.startswith("unbroken")) == "中" * 2000


@pytest.mark.parametrize(
    ("names", "words"),
    [((), "it holds nothing"), (("a.pdf", "b.pdf", "c.docx"), "it holds 2 .pdf, 1 .docx")],
)
def test_a_folder_without_text(tmp_path, names, words):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(SourceError, match=words) as caught:
        open_path(str(tmp_path), None)
    assert ".jsonl" in caught.value.advice


def test_files_of_other_kinds_are_counted(tmp_path):
    fill(tmp_path, "a.txt", ".hidden.pdf")
    assert open_path(str(tmp_path), None)[3] == ""
    fill(tmp_path, "one.pdf")
    assert open_path(str(tmp_path), None)[3] == "1 file of other kinds left alone (1 .pdf)"
    (tmp_path / "one.pdf").unlink()
    fill(tmp_path, ".hidden.png", "one.doc", "two.odt")
    assert open_path(str(tmp_path), None)[3] == "2 files of other kinds left alone (1 .doc, 1 .odt)"
    fill(tmp_path, *(f"{number}.{'PNG' if number % 2 else 'png'}" for number in range(1200)))
    fill(tmp_path, "README", "a.pdf", "b.pdf")
    _, _, reader, others = open_path(str(tmp_path), None)
    assert others.startswith("1,205 files of other kinds left alone (1,200 .png, 2 .pdf, ")
    assert others.endswith(", ...)")
    assert [document.place for document in reader(Quarantine())] == ["a.txt"]


def fill(folder, *names):
    for name in names:
        (folder / name).write_text("x")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "book.pdf").write_text("x")
    with pytest.raises(SourceError, match="is not of a kind that is read"):
        open_path(str(tmp_path / "book.pdf"), None)


def test_the_fingerprint_follows_the_files(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    before = open_path(str(tmp_path), None)[0]
    assert open_path(str(tmp_path), None)[0] == before
    assert open_path(str(tmp_path), Layout(text=("body",)))[0] != before
    os.utime(path, ns=(1, 1))
    assert open_path(str(tmp_path), None)[0] != before


def test_a_file_that_vanishes_is_set_aside(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    _, _, reader, _ = open_path(str(tmp_path), None)
    (tmp_path / "a.txt").unlink()
    quarantine = Quarantine()
    assert [document.text for document in reader(quarantine)] == ["two"]
    assert quarantine.examples == [("a.txt", "cannot be read: No such file or directory")]
    assert quarantine.try_again


def test_a_guess_is_told_once(tmp_path, caplog):
    rows = [{"question": "Why?", "answer": "Because."}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    with caplog.at_level(logging.INFO, "coldframe"):
        for layout in (None, Layout(question=("question",), answer="answer")):
            reader = open_path(str(tmp_path), layout)[2]
            assert len(list(reader(Quarantine()))) == len(list(reader(Quarantine()))) == 2
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("a.json is read as 'question' (user), 'answer' (assistant): a guess")
