"""What a model is measured on is found in what it learns from, whatever stands around it."""

from __future__ import annotations

import json
import random

import orjson
import pytest

from coldframe.corpus.cleaning import open_clean
from coldframe.corpus.contamination import find_contamination
from coldframe.corpus.documents import Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import Source
from coldframe.errors import SourceError

TASK = "Answer the question that stands below in one word and with nothing else, as briefly as you can: "
NOUNS = (
    "lamp",
    "boat",
    "river",
    "window",
    "horse",
    "garden",
    "letter",
    "hammer",
    "bridge",
    "kettle",
    "spoon",
    "mirror",
)


def question(number):
    """A question of twenty words and its answer."""
    draw = random.Random(number)
    one, two, three, four = draw.sample(NOUNS, 4)
    return (
        f"If a {one} number {number} stands beside the {two} and nobody moved the {three} since the {four} was sold, "
        f"which of them is nearest to it? It is the {two}, because nothing else was ever beside number {number}."
    )


@pytest.fixture(scope="module")
def paragraphs():
    """Real text to plant into."""
    documents = open_package("python-topics")[2](Quarantine())
    return [part for document in documents for part in document.text.split("\n\n") if len(part) > 200]


@pytest.fixture
def evaluation(tmp_path):
    """Two hundred rows of a task with the same words before each question."""
    path = tmp_path / "tasks" / "nearest.jsonl"
    path.parent.mkdir()
    rows = [{"query": TASK + question(number), "choices": ["yes", "no"], "gold": 0} for number in range(200)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def text_of(tmp_path, texts):
    """A folder of documents with these texts."""
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts))
    ingest(Source(name="texts", kind="prose", path=str(path)), tmp_path / "texts")
    return tmp_path / "texts"


def kept(folder):
    """Line numbers of what is kept."""
    return [int(one.document.place.rpartition(":")[2]) for one in kept_documents(folder)]


def test_planted_questions_are_found_and_nothing_else(tmp_path, evaluation, paragraphs):
    clean = [f"{paragraphs[n]}\n\n{paragraphs[n + 1]}" for n in range(300)]
    dirty = [
        f"{paragraphs[n]} {question(n).upper().replace('?', ' -- ').replace(' ', '  ')}\n{paragraphs[n + 1]}"
        for n in range(100)
    ]
    folder = text_of(tmp_path, [*clean, *dirty])
    found = find_contamination([folder], [evaluation])
    assert kept(folder) == list(range(1, 301))
    assert found.sets == {"nearest.jsonl": 200} and found.found == {"nearest.jsonl": 100}
    assert found.dropped == {"texts": 100} and found.documents == 400
    place, piece, begins = found.examples[0]
    assert place == "texts: texts.jsonl:301" and piece == "nearest.jsonl:1" and begins.startswith(TASK)


def test_the_words_of_a_task_are_not_its_questions(tmp_path, evaluation):
    folder = text_of(tmp_path, [TASK + "What is the name of the town in which the old mill stands since the war?"])
    assert find_contamination([folder], [evaluation]).dropped.total() == 0


def test_a_part_of_a_question_is_not_the_question(tmp_path, evaluation):
    words = question(5).split()
    folder = text_of(tmp_path, [" ".join(words[:16]) + " and so on.", " ".join(words[:30]) + " and so on."])
    find_contamination([folder], [evaluation])
    assert kept(folder) == [1]


def test_short_ones_and_numbers_are_not_looked_for(tmp_path):
    path = tmp_path / "short.jsonl"
    path.write_text(json.dumps({"query": "The man turned on the tap", "numbers": " ".join(map(str, range(40)))}))
    folder = text_of(tmp_path, ["The man turned on the tap and counted: " + " ".join(map(str, range(40)))])
    with pytest.raises(SourceError, match="holds no text of 10 words or more"):
        find_contamination([folder], [path])


def test_the_verb_tells_of_it_and_does_it_once(tmp_path, evaluation, coldframe):
    folder = text_of(tmp_path, [question(3), "Something else that nobody was ever asked about in any test at all."])
    answer = coldframe("corpus", "dedup", folder, "--against", evaluation, "--json")
    result = answer.json
    assert result["contaminated"] == 1 and result["kept"] == 1
    assert result["evaluation"] == [{"set": "nearest.jsonl", "pieces": 200, "found": 1}]
    again = coldframe("corpus", "dedup", folder, "--against", evaluation, "--json").json
    assert again == result


def test_a_run_leaves_it_out(tmp_path, evaluation, caplog):
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"text": question(3)}) + "\n" + json.dumps({"text": question(900)}) + "\n")
    source = Source(name="texts", kind="question-answer", path=str(path))
    clean = open_clean([source], tmp_path / "corpus", context=512, against=[evaluation.parent])
    [document] = clean.opened[0].documents(Quarantine())
    assert document.place == "texts.jsonl:2"
    assert "1 documents hold what the model will be measured on (1 pieces of nearest.jsonl)" in caplog.text
    assert clean.report()[0].dropped == {"contaminated": 1}
    without = open_clean([source], tmp_path / "corpus", context=512, dedup=False)
    assert len(list(without.opened[0].documents(Quarantine()))) == 2
