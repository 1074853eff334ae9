"""The sources of a run made clean: filtered by kind, without duplicates, made once and found again."""

from __future__ import annotations

import fcntl
import logging
import shutil
import subprocess
import sys
import threading

import orjson
import pytest

from coldframe.corpus.cleaning import alone, open_clean
from coldframe.corpus.dialogue.books import extract
from coldframe.corpus.documents import Quarantine
from coldframe.corpus.filtering import filter_documents, kept_documents
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import EMBEDDED, Source
from coldframe.errors import SettingsError, SourceError

GOOD = (
    "The gardener lifted the frame in the morning and found that the seeds had come up in the night. "
    "She told the boy to bring water from the well, and he went with two cans and came back with one. "
    "“The other one is for the beans,” he said, and nobody asked him what he meant by that.\n"
)
LOOP = "the same words again and again " * 60


@pytest.fixture
def texts(tmp_path):
    """A folder of a good text, a copy of it, a good one of its own and a loop."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(GOOD)
    (folder / "b.txt").write_text(GOOD.replace("The", "THE").replace(" ", "  "))
    (folder / "c.txt").write_text(
        "Of the second bed there is less to say, but that it was dug and lay there to be seen. " * 2
    )
    (folder / "d.txt").write_text(LOOP)
    return folder


def source(path, **said):
    """A source of prose."""
    return Source(**{"name": "texts", "kind": "prose", "path": str(path)} | said)


def places(clean, number=0):
    """Where the documents stand that are read."""
    return [document.place for document in clean.opened[number].documents(Quarantine())]


def test_bad_and_double_text_is_not_read(tmp_path, texts, caplog):
    with caplog.at_level(logging.INFO, "coldframe"):
        clean = open_clean([source(texts)], tmp_path / "corpus", context=512)
    assert places(clean) == ["a.txt", "c.txt"]
    said = caplog.text
    assert "source texts: 1 of 4 documents dropped: " in said and "1 duplicates" in said
    [line] = clean.report()
    assert (line.documents_in, line.documents_kept, line.duplicates, sum(line.dropped.values())) == (4, 2, 1, 1)
    assert sorted(path.name for path in texts.iterdir()) == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_across_sources_the_first_keeps_its_copy(tmp_path, texts):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(texts / "c.txt", other / "again.txt")
    (other / "new.txt").write_text(
        "The miller had a sluice and a wheel, and of the two it was the wheel that he trusted more."
    )
    sources = [source(texts), source(other, name="other")]
    clean = open_clean(sources, tmp_path / "corpus", context=512)
    assert (places(clean, 0), places(clean, 1)) == (["a.txt", "c.txt"], ["new.txt"])
    turned = open_clean(sources[::-1], tmp_path / "corpus", context=512)
    assert (places(turned, 0), places(turned, 1)) == (["again.txt", "new.txt"], ["a.txt"])
    alone = open_clean(sources[1:], tmp_path / "corpus", context=512)
    assert places(alone) == ["again.txt", "new.txt"]
    assert places(clean, 1) == ["new.txt"], "another set of sources takes nothing from this one"
    both = open_clean(sources, tmp_path / "corpus", context=512, dedup=False)
    assert (places(both, 0), places(both, 1)) == (["a.txt", "b.txt", "c.txt"], ["again.txt", "new.txt"])


def test_made_once_and_found_again(tmp_path, texts):
    first = open_clean([source(texts)], tmp_path / "corpus", context=512)
    files = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "corpus").rglob("*")
        if path.is_file() and not path.name.endswith("lock")
    }
    again = open_clean([source(texts)], tmp_path / "corpus", context=512)
    assert again.opened[0].fingerprint == first.opened[0].fingerprint
    assert {path: path.stat().st_mtime_ns for path in files} == files
    (texts / "e.txt").write_text(
        "Here is a new text which nobody has seen before; it is of some length, and that is all of it."
    )
    grown = open_clean([source(texts)], tmp_path / "corpus", context=512)
    assert places(grown) == ["a.txt", "c.txt", "e.txt"]
    assert grown.opened[0].fingerprint != first.opened[0].fingerprint


def test_not_filtering_is_a_loud_choice(tmp_path, texts, caplog):
    clean = open_clean([source(texts, unfiltered="it is a test of loops")], tmp_path / "corpus", context=512)
    assert "source texts is NOT filtered: it is a test of loops" in caplog.text
    assert places(clean) == ["a.txt", "c.txt", "d.txt"]
    assert clean.report()[0].unfiltered == "it is a test of loops"
    assert places(open_clean([source(texts)], tmp_path / "corpus", context=512)) == ["a.txt", "c.txt"]


def test_limits_of_its_own(tmp_path, texts):
    clean = open_clean([source(texts, limits={"num_words": 45})], tmp_path / "corpus", context=512)
    assert places(clean) == ["a.txt"]
    with pytest.raises(SettingsError, match="no filter measures 'num_word'"):
        source(texts, limits={"num_word": 4})
    with pytest.raises(SettingsError, match="the limit num_words = 'many'"):
        source(texts, limits={"num_words": "many"})


def test_a_source_of_nothing_good_is_left_out(tmp_path, texts, caplog):
    loops = tmp_path / "loops"
    loops.mkdir()
    (loops / "d.txt").write_text(LOOP)
    clean = open_clean([source(texts), source(loops, name="loops")], tmp_path / "corpus", context=512)
    assert [one.name for one in clean.opened] == ["texts"] and [line.name for line in clean.report()] == ["texts"]
    [(name, why)] = clean.skipped
    assert name == "loops" and why.startswith("the filters drop all of it (low-variety 1); coldframe corpus report ")
    assert "source loops is left out" in caplog.text


def test_where_nothing_else_is_there_it_is_read_as_it_is(tmp_path, texts, caplog):
    for name in ("a.txt", "b.txt", "c.txt"):
        (texts / name).unlink()
    clean = open_clean([source(texts)], tmp_path / "corpus", context=512)
    assert places(clean) == ["d.txt"]
    assert "source texts is NOT filtered: the filters would drop all of it (low-variety 1)" in caplog.text
    assert clean.report()[0].unfiltered.startswith("the filters would drop all of it")


def test_the_same_folder_twice_is_one_source(tmp_path, texts, caplog):
    clean = open_clean([source(texts), source(texts, name="again")], tmp_path / "corpus", context=512)
    assert [one.name for one in clean.opened] == ["texts"]
    assert "source again is left out: all of it stands in other sources too" in caplog.text
    ingest(source(texts), tmp_path / "made")
    made = [source(tmp_path / "made", name=name) for name in ("one", "two")]
    assert [one.name for one in open_clean(made, tmp_path / "corpus", context=512).opened] == ["one"]


def test_a_folder_of_documents_keeps_its_verdicts(tmp_path, texts):
    made = tmp_path / "made"
    ingest(source(texts), made)
    before = sorted(made.rglob("*"))
    assert places(open_clean([source(made)], tmp_path / "corpus", context=512)) == ["a.txt", "c.txt"]
    assert sorted(made.rglob("*")) == before, "nothing is written into what is somebody's own"
    filter_documents(made, Criteria(kind="prose", limits={"num_words": 45}))
    assert places(open_clean([source(made)], tmp_path / "corpus", context=512)) == ["a.txt"], "the verdicts that it has"
    own = source(made, limits={"num_words": 10})
    assert places(open_clean([own], tmp_path / "corpus", context=512)) == ["a.txt", "c.txt"], (
        "but a recipe's own limits"
    )
    raw = source(made, unfiltered="a test")
    assert places(open_clean([raw], tmp_path / "corpus", context=512)) == ["a.txt", "c.txt", "d.txt"]
    (texts / "0.txt").write_text(
        "A text that came later, and that stands before all of the others in the order of names."
    )
    ingest(source(texts), made)
    filter_documents(made, Criteria(kind="prose", limits={"num_words": 10}))
    assert places(open_clean([source(made)], tmp_path / "corpus", context=512)) == ["0.txt", "a.txt", "c.txt"]


def test_conversations_of_books_are_a_source(tmp_path):
    (tmp_path / "book.txt").write_text(
        '"Where is the water?" asked Anna.\n\n"It is in the well," said the boy.\n\nThey went down to the well, and '
        "nobody spoke for as long as the way was, which was long enough for the sun to come out and go again, and for "
        "the wind to turn; they were tired then, and sat down upon the wall, and looked into the dark of it for long "
        'without a word.\n\n"It is dry," said Anna.\n\n"It was not so yesterday," he answered.\n'
    )
    wanted = source(tmp_path / "book.txt", kind="dialogue", dialogue=20)
    [document, other] = open_clean([wanted], tmp_path / "corpus", context=512).opened[0].documents(Quarantine())
    assert [message.content for message in document.messages] == ["Where is the water?", "It is in the well,"]
    assert document.place == "book.txt, character 1" and other.messages[0].content == "It is dry,"


def test_the_embedded_corpus_is_not_exempt(tmp_path):
    clean = open_clean(EMBEDDED, tmp_path / "corpus", context=512)
    found = {line.name: line for line in clean.report()}
    assert sum(line.documents_in - line.documents_kept for line in found.values()) > 0
    for line in found.values():
        assert line.documents_kept > 0.9 * line.documents_in, line


def test_a_second_process_waits_and_finds_what_the_first_made(tmp_path, texts, caplog):
    folder = tmp_path / "corpus"
    folder.mkdir()
    with open(folder / ".lock", "wb") as lock, caplog.at_level(logging.INFO, "coldframe"):
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = []

        def prepare() -> None:
            with alone(folder):
                found.append(open_clean([source(texts)], folder, context=512))

        work = threading.Thread(target=prepare)
        work.start()
        work.join(1.0)
        assert work.is_alive() and not found
        fcntl.flock(lock, fcntl.LOCK_UN)
        work.join(60)
    assert "waiting for another process" in caplog.text
    assert places(found[0]) == ["a.txt", "c.txt"]


CLEAN = """
import sys
from pathlib import Path
from coldframe.corpus.cleaning import alone, open_clean
from coldframe.corpus.sources import Source
open_clean([Source(name="texts", kind="prose", path=sys.argv[1])], Path(sys.argv[2]), context=512)
"""


def test_killed_and_started_again_ends_the_same(tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    lines = "".join(orjson.dumps({"text": GOOD.replace("night", f"night of {n}")}).decode() + "\n" for n in range(9000))
    (texts / "many.jsonl").write_text(lines)
    straight = open_clean([source(texts)], tmp_path / "straight", context=512)
    for seconds in (1.5, 2.0, 3.0):
        worker = subprocess.Popen([sys.executable, "-c", CLEAN, str(texts), str(tmp_path / "killed")])
        try:
            worker.wait(seconds)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    killed = open_clean([source(texts)], tmp_path / "killed", context=512)
    assert places(killed) == places(straight)
    assert killed.opened[0].fingerprint == straight.opened[0].fingerprint


def test_conversations_out_of_a_folder_of_documents(tmp_path):
    (tmp_path / "book.txt").write_text(
        '"Where is it?" asked Anna.\n\n"In the well, where it always was," said the boy.\n'
    )
    ingest(source(tmp_path / "book.txt"), tmp_path / "made")
    wanted = source(tmp_path / "made", kind="dialogue", dialogue=200)
    [document] = open_clean([wanted], tmp_path / "corpus", context=512).opened[0].documents(Quarantine())
    assert [message.role for message in document.messages] == ["user", "assistant"]
    assert not (tmp_path / "made" / "attributes").exists(), "the books keep what is said of them"
    filter_documents(tmp_path / "made", Criteria(kind="prose", limits={"num_words": 500}))
    assert not list(kept_documents(tmp_path / "made"))
    with pytest.raises(SourceError, match="no readable text"):
        open_clean([wanted], tmp_path / "corpus", context=512)


def test_a_dataset_that_was_fetched_is_judged_by_each_run_in_its_own_way(tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    lines = [{"text": f"{GOOD} It was day {n}, and the day was {n} hours long."} for n in range(5)] + [{"text": LOOP}]
    (box / "train.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    hub = Source(name="texts", kind="prose", hub=str(box))
    runs = tmp_path / "runs"
    clean = open_clean([hub], runs / "corpus", context=512, dedup=False)
    assert len(places(clean)) == 5
    strict = Source(name="texts", kind="prose", hub=str(box), limits={"num_words": 1000})
    assert len(places(open_clean([strict], runs / "corpus", context=512, dedup=False))) == 6, "nothing else is there"
    assert len(places(clean)) == 5


def test_what_a_verb_made_is_not_read_as_files(tmp_path, texts, caplog):
    ingest(source(texts), texts / "corpus")
    again = ingest(source(texts), texts / "corpus")
    assert again.counts["documents"] == 4
    with caplog.at_level(logging.WARNING, "coldframe"):
        clean = open_clean([source(texts)], texts / "runs" / "corpus", context=512)
    assert (
        places(clean) == ["a.txt", "c.txt"]
        and "1 file of other kinds left alone (1 folder of documents)" in caplog.text
    )
    assert places(open_clean([source(texts)], texts / "runs" / "corpus", context=512)) == ["a.txt", "c.txt"]
    with pytest.raises(SourceError, match="is a folder of documents that was made of files"):
        extract([texts / "corpus"], tmp_path / "talk.jsonl")
