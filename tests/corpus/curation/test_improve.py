"""Better forms stand beside the texts: words stay, and everything can be undone."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.curation.improve import improve, improve_documents
from coldframe.corpus.filtering import filter_documents, kept_documents, open_corpus
from coldframe.corpus.filters.judging import Criteria
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import Source
from coldframe.corpus.store import DOCUMENTS, IMPROVED
from coldframe.errors import CorpusError

WRAPPED = (
    "The old bridge had been there longer than anybody could remember, and\n"
    "those who crossed it in the morning did not look at the water below,\n"
    "for it was brown and slow and carried nothing that anyone would want.\n"
    "But in the evening it was otherwise."
)
VERSE = "Of all the lamps along the shore\nOne only burns for me\nAnd she who lit it long before\nIs out upon the sea\n"
LIST = "The rules of the house are these:\n- nobody goes out after ten o'clock at night\n- nobody comes in before six\n"
HEAD = "The Project Gutenberg eBook of X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n"


@pytest.mark.parametrize(
    ("text", "kind", "better", "changes"),
    [
        (WRAPPED, "prose", WRAPPED.replace("\n", " "), ("wrapping",)),
        (WRAPPED, "documentation", WRAPPED, ()),
        (VERSE, "prose", VERSE, ()),
        (LIST, "prose", LIST, ()),
        ("It was late.  \nSo it was.\n\n\n\n\nThen?", "chat", "It was late.\nSo it was.\n\n\nThen?", ("spaces",)),
        ("He sawâ€”itâ€™s true", "prose", "He saw—it’s true", ("encoding",)),
        ("One.\n\n[Illustration: a cat]\n\nTwo.\n\n{12}\nThree.", "prose", "One.\n\nTwo.\n\nThree.", ("page-marks",)),
        (HEAD + "It began.\n*** END OF THE PROJECT", "prose", "It began.\n", ("furniture",)),
    ],
)
def test_forms(text, kind, better, changes):
    assert improve(text, kind) == (better, changes)


@given(st.text(alphabet="abcdefgh .,\n'\"-", max_size=600))
def test_no_word_is_lost(text):
    better, _ = improve(text, "prose")
    assert better.split() == text.split()
    assert improve(better, "prose")[0].split() == text.split()


@pytest.fixture
def corpus(tmp_path):
    rows = [
        {"text": WRAPPED},
        {"text": "same words " * 90},
        {"text": "Nothing is wrong with this one, and so it stays as it is."},
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    ingest(Source(name="rows", kind="prose", path=str(tmp_path / "rows.jsonl")), tmp_path / "rows")
    filter_documents(tmp_path / "rows", Criteria(kind="prose", limits={"num_words": 5}))
    return tmp_path / "rows"


def texts(corpus):
    return [one.document.text for one in kept_documents(corpus)]


def test_beside_the_original(corpus):
    before, documents = open_corpus(corpus)[0], (corpus / DOCUMENTS).read_bytes()
    done = improve_documents(corpus)
    assert (done.documents, done.changed, done.changes["wrapping"]) == (3, 2, 1)
    assert texts(corpus)[0] == WRAPPED.replace("\n", " ") and len(texts(corpus)) == 2, "what was dropped stays dropped"
    assert (corpus / DOCUMENTS).read_bytes() == documents and open_corpus(corpus)[0] != before
    (corpus / IMPROVED).unlink()
    assert texts(corpus)[0] == WRAPPED and open_corpus(corpus)[0] == before


def test_conversations(tmp_path):
    row = {"messages": [{"role": "user", "content": "Whyâ€™s that?  "}, {"role": "assistant", "content": "Well."}]}
    (tmp_path / "chat.jsonl").write_bytes(orjson.dumps(row))
    ingest(Source(name="chat", kind="chat", path=str(tmp_path / "chat.jsonl")), tmp_path / "chat")
    improve_documents(tmp_path / "chat")
    [one] = kept_documents(tmp_path / "chat")
    assert [message.content for message in one.document.messages] == ["Why’s that?", "Well."]
    assert one.document.text == "Why’s that?\n\nWell."


def test_other_documents_are_noticed(corpus, tmp_path):
    improve_documents(corpus)
    (tmp_path / "rows.jsonl").write_bytes(orjson.dumps({"text": "Another text altogether, which nobody improved yet."}))
    ingest(Source(name="rows", kind="prose", path=str(tmp_path / "rows.jsonl")), corpus)
    filter_documents(corpus, Criteria(kind="prose", limits={"num_words": 5}))
    with pytest.raises(CorpusError, match="does not speak of the documents beside it"):
        texts(corpus)
    improve_documents(corpus)
    assert len(texts(corpus)) == 1
