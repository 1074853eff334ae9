"""From sources to tokenizer and shards, and what is found again the second time."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import coldframe
from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.sources import EMBEDDED, Source, open_source, open_sources
from coldframe.errors import ShardError, SourceError, TokenizerError
from coldframe.tokens.chat import parse
from coldframe.tokens.encoding import encode_documents
from coldframe.tokens.holdout import held_out_texts, text_hash
from coldframe.tokens.prepare import prepare
from coldframe.tokens.sample import sample_budgets, training_sample
from coldframe.tokens.shards import TokenSource


def made(sources, **wanted):
    """What is prepared of sources as they are."""
    return prepare(*open_sources(sources), **wanted)


@pytest.fixture
def book(tmp_path, make_text):
    """A source of one long document and some short ones."""
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "long.txt").write_text(make_text(1, 3000))
    for seed in range(2, 12):
        (folder / f"short-{seed}.md").write_text(make_text(seed, 30))
    return Source(name="books", kind="prose", path=str(folder))


@pytest.fixture
def chat(tmp_path):
    lines = [
        {"messages": [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": f"It is {n}."}]}
        for n in range(200)
    ]
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n")
    return Source(name="talk", kind="chat", path=str(path))


def all_text(prepared, number=0):
    source, decode = prepared.sources[number], prepared.tokenizer.decode
    train = [decode(document.ids[1:]) for document in source.train.documents()]
    held = [decode(document.ids[1:]) for document in source.validation.documents()]
    return train, held


def test_no_text_is_lost_or_on_both_sides(tmp_path, book):
    prepared = made([book], folder=tmp_path / "runs", vocab_size=500)
    train, held = all_text(prepared)
    texts = {document.place: document.text for document in open_source(book).documents(Quarantine())}
    assert sorted("".join(train + held)) == sorted("".join(texts.values()))
    assert held
    for text in held:
        assert any(text in original for original in texts.values())
        assert not any(text in other for other in train)
    report = prepared.reports[0]
    assert report.num_bytes + report.validation_bytes == sum(len(text.encode()) for text in texts.values())
    assert (report.num_tokens, report.num_documents) == (prepared.sources[0].num_tokens, len(train))


def test_parts_around_a_held_out_passage_are_documents(tokenizer, make_text):
    document = Document(text=make_text(1, 3000), place="long")
    passages = held_out_texts(document)
    bound = sorted(map(text_hash, passages))[0] + 1
    [(size, encoded)] = encode_documents([document], tokenizer, bound)
    assert size == len(document.text)
    hole = [text_hash(passage) < bound for passage in passages].index(True)
    parts = ["".join(passages[:hole]), passages[hole], "".join(passages[hole + 1 :])]
    assert [tokenizer.decode(part.ids[1:]) for part in encoded] == [part for part in parts if part]
    assert [part.held_out for part in encoded].count(True) == 1
    assert all(part.ids[0] == tokenizer.bos for part in encoded)


def test_conversations_keep_their_masks(tmp_path, chat, caplog):
    with caplog.at_level(logging.WARNING, "coldframe"):
        prepared = made([chat], folder=tmp_path / "runs", vocab_size=400)
    source = prepared.sources[0]
    document = source.train.document(0)
    assert parse(document.ids.tolist(), prepared.tokenizer)[1].content.startswith("It is ")
    said = prepared.tokenizer.decode(document.ids[document.mask == 1])
    assert said.startswith("It is ")
    assert said.endswith("<|end|>")
    assert source.validation.document(0).mask is not None
    assert prepared.reports[0].quarantined == 1
    assert prepared.reports[0].examples[0][0] == "talk.jsonl:201"
    assert "source talk: 1 pieces set aside, the first: talk.jsonl:201" in caplog.text


def test_the_second_time_everything_is_found_again(tmp_path, book, chat):
    folder = tmp_path / "runs"
    first = made([book, chat], folder=folder, vocab_size=500)
    steps = []
    second = made([book, chat], folder=folder, vocab_size=500, progress=lambda what, done: steps.append(what))
    assert not steps
    assert [report.reused for report in first.reports] == [False, False]
    assert [report.reused for report in second.reports] == [True, True]
    assert second.tokenizer.sha256 == first.tokenizer.sha256
    assert second.tokenizer_path == folder / "tokenizers" / first.tokenizer.sha256[:12] / "tokenizer.json"
    assert [s.manifest_hash for s in second.sources] == [s.manifest_hash for s in first.sources]
    assert second.reports[1].examples == first.reports[1].examples
    assert second.sources[0].folder.parent == folder / "shards" / first.tokenizer.sha256[:12] / "books"


def test_what_the_system_refused_is_tried_again(tmp_path, book):
    (tmp_path / "books" / "bad.txt").symlink_to("/proc/self/mem")  # reading its beginning is an input/output error
    report = made([book], folder=tmp_path / "runs", vocab_size=500).reports[0]
    assert report.quarantined == 1
    assert report.examples[0][1] == "cannot be read: Input/output error"
    assert not list((tmp_path / "runs").rglob("prepared-*.json"))  # by which the next preparation would find it again


def test_a_touched_file_with_the_same_text_gives_the_same_shards(tmp_path, book):
    first = made([book], folder=tmp_path / "runs", vocab_size=500)
    os.utime(tmp_path / "books" / "long.txt", ns=(1, 1))
    second = made([book], folder=tmp_path / "runs", vocab_size=500)
    assert not second.reports[0].reused
    assert second.sources[0].folder == first.sources[0].folder


def test_a_grown_source_keeps_its_held_out_texts(tmp_path, book, make_text):
    folder = tmp_path / "runs"
    first = made([book], folder=folder, vocab_size=500)
    for seed in range(20, 60):
        (tmp_path / "books" / f"new-{seed}.txt").write_text(make_text(seed, 30))
    second = made([book], folder=folder, vocab_size=None, tokenizer_path=first.tokenizer_path)
    assert second.sources[0].manifest_hash != first.sources[0].manifest_hash
    learned_before, _ = all_text(first)
    _, held_now = all_text(second)
    assert not [text for text in held_now if any(text in learned for learned in learned_before)]


def test_a_damaged_set_is_named_and_rebuilt_once_deleted(tmp_path, book):
    folder = tmp_path / "runs"
    shards = made([book], folder=folder, vocab_size=500).sources[0].folder
    path = shards / "tokens-00000.bin"
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(ShardError, match="delete the folder and start again"):
        made([book], folder=folder, vocab_size=500)
    for file in sorted(shards.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    shards.rmdir()
    assert not made([book], folder=folder, vocab_size=500).reports[0].reused


def test_a_given_tokenizer(tmp_path, book, tokenizer):
    path = tmp_path / "own.json"
    tokenizer.save(path)
    prepared = made([book], folder=tmp_path / "runs", vocab_size=tokenizer.vocab_size, tokenizer_path=path)
    assert prepared.tokenizer.sha256 == tokenizer.sha256
    with pytest.raises(TokenizerError, match=f"vocabulary of {tokenizer.vocab_size}, but 1000 is asked for") as caught:
        made([book], folder=tmp_path / "runs", vocab_size=1000, tokenizer_path=path)
    assert f"set the vocabulary to {tokenizer.vocab_size}" in caught.value.advice
    with pytest.raises(TokenizerError, match="there is no tokenizer at"):
        made([book], folder=tmp_path / "runs", vocab_size=None, tokenizer_path=tmp_path / "nowhere.json")


def test_an_empty_source_is_one_clear_line_and_no_tokenizer(tmp_path, book):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.txt").write_bytes(b"caf\xe9")
    empty = Source(name="empty", kind="prose", path=str(bad))
    with pytest.raises(SourceError, match="'empty' has no readable text .1 quarantined, the first: a.txt:1: byte 0xe9"):
        made([book, empty], folder=tmp_path / "runs", vocab_size=500)
    assert not (tmp_path / "runs").exists()


def test_conversations_without_the_assistant_are_refused(tmp_path, book):
    talk = [{"messages": [{"role": "user", "content": f"What is {n}, and why?"}]} for n in range(50)]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, talk)))
    questions = Source(name="questions", kind="chat", path=str(path))
    for _ in range(2):  # nothing is left behind that the second time finds
        with pytest.raises(SourceError, match="'questions' has nothing to learn: no conv.* assistant") as caught:
            made([book, questions], folder=tmp_path / "runs", vocab_size=400)
        assert "add its answers" in caught.value.advice
    path.write_text(path.read_text().replace("}]}", '}, {"role": "assistant", "content": "Because."}]}', 1))
    assert len(made([book, questions], folder=tmp_path / "runs", vocab_size=400).sources) == 2


def test_a_single_short_text_is_all_learned(tmp_path, make_text):
    (tmp_path / "one.txt").write_text(make_text(1, 20))
    source = Source(name="one", kind="prose", path=str(tmp_path / "one.txt"))
    prepared = made([source], folder=tmp_path / "runs", vocab_size=300)
    assert prepared.sources[0].num_documents == 1
    assert prepared.sources[0].validation.num_documents == 0
    assert list(prepared.sources[0].validation.documents()) == []


PREPARE = """
import sys
from pathlib import Path
from coldframe.corpus.sources import Source, open_sources
from coldframe.tokens.prepare import prepare
prepare(*open_sources([Source(name="books", kind="prose", path=sys.argv[1])]), folder=Path(sys.argv[2]), vocab_size=500)
"""


def test_three_processes_at_once(tmp_path, book):
    folder = tmp_path / "runs"
    command = [sys.executable, "-c", PREPARE, book.path, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(coldframe.__file__).parents[1])}
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    prepared = made([book], folder=folder, vocab_size=500)
    assert prepared.reports[0].reused
    left = {path.name for path in prepared.sources[0].folder.parent.iterdir()}
    assert len(left) == 2, left
    TokenSource.open(prepared.sources[0].folder, verify=True)


def test_progress_goes_from_nothing_to_all(tmp_path, book):
    seen = {}
    made(
        [book],
        folder=tmp_path / "runs",
        vocab_size=500,
        progress=lambda what, done: seen.setdefault(what, []).append(done),
    )
    assert list(seen) == ["training the tokenizer", "tokenizing books"]
    for done in seen.values():
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0.0, 1.0)


# --- the sample that a tokenizer learns from -------------------------------------------------------------------------


def test_budgets_fill_small_sources_and_share_the_rest():
    assert sample_budgets([10, 1000, 1000], 510) == [10, 250, 250]
    assert sample_budgets([10, 20], 100) == [10, 20]
    assert sample_budgets([], 100) == []


def test_the_sample_is_capped_balanced_and_leaves_out_what_is_held_out(tmp_path, make_text):
    opened = []
    for name, count in (("small", 80), ("large", 400)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps({"text": f"{name} {make_text(seed, 4)}"}) for seed in range(count)))
        opened.append(open_source(Source(name=name, kind="prose", path=str(path))))
    sample = list(training_sample([(source, 0) for source in opened], lambda done: None, total=20_000))
    sizes = {name: sum(len(text) for text in sample if text.startswith(name)) for name in ("small", "large")}
    assert 0.5 < sizes["small"] / sizes["large"] < 1.2
    assert sum(sizes.values()) < 25_000
    assert sample == list(training_sample([(source, 0) for source in opened], lambda done: None, total=20_000))
    assert not list(training_sample([(source, 2**64) for source in opened], lambda done: None))


def test_the_sample_rests_on_the_text_and_comes_from_all_of_it_whatever_surrounds_it(tmp_path, make_text):
    """Lines with far more beside the text than text, and one long document, get what any other source gets."""
    texts = [make_text(seed, 4) for seed in range(300)]
    bare, wrapped, long = tmp_path / "bare.jsonl", tmp_path / "wrapped.jsonl", tmp_path / "long.txt"
    bare.write_text("\n".join(json.dumps({"text": f"bare {text}"}) for text in texts))
    wrapped.write_text("\n".join(json.dumps({"text": f"wrapped {text}", "beside": "x" * 3000}) for text in texts))
    long.write_text("\n\n".join(f"long {text}" for text in texts * 8))
    opened = [open_source(Source(name=path.stem, kind="prose", path=str(path))) for path in (bare, wrapped, long)]
    sample = list(training_sample([(source, 0) for source in opened], lambda done: None, total=150_000))
    sizes = {name: sum(len(text) for text in sample if text.startswith(name)) for name in ("bare", "wrapped", "long")}
    assert 0.95 < sizes["bare"] / sizes["wrapped"] < 1.05
    assert 50_000 <= sizes["long"] <= 75_000
    places = [number for number, text in enumerate(texts) if f"wrapped {text}" in sample]
    assert len([number for number in places if number < 150]) < 0.65 * len(places)
    bare.write_text("\n".join(reversed(bare.read_text().splitlines())))
    again = training_sample([(open_source(source.source), 0) for source in opened], lambda done: None, total=150_000)
    assert sorted(again) == sorted(sample)


# --- the embedded corpus, whole --------------------------------------------------------------------------------------


def test_the_embedded_corpus(tmp_path):
    prepared = made(EMBEDDED, folder=tmp_path, vocab_size=2048)
    assert prepared.tokenizer.vocab_size == 2048
    assert [source.name for source in prepared.sources] == [source.name for source in EMBEDDED]
    assert not prepared.skipped
    for source in prepared.sources:
        assert source.validation.num_documents > 0
        assert 0.001 < source.validation.num_bytes / source.num_bytes < 0.1
        total = prepared.tokenizer.token_bytes[source.read(0, source.num_tokens)].sum(dtype=np.int64)
        assert total == source.num_bytes
