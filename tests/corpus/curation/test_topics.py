"""The map of topics: like lies with like, everything is counted, and the same corpus gives the same map."""

from __future__ import annotations

import pytest

from coldframe.corpus.curation.sampling import SAMPLE_BYTES, take_sample
from coldframe.corpus.curation.styles import MEASURES, styles
from coldframe.corpus.curation.topics import draw_map
from coldframe.corpus.filtering import kept_documents
from coldframe.corpus.signatures import own_text


@pytest.fixture(scope="module")
def sample(corpus):
    return take_sample([corpus["king-james"], corpus["numpy-docstrings"], corpus["python-topics"]])


def test_a_sample_stands_for_all_that_is_kept(corpus, sample):
    for number, name in enumerate(sample.names):
        kept = sum(len(own_text(one.document).encode()) for one in kept_documents(corpus[name]))
        assert sample.kept_bytes[number] == kept
        assert sum(p.weight for p in sample.passages if p.source == number) == pytest.approx(kept)
    assert sum(len(text.encode()) for text in sample.texts) <= 1.1 * SAMPLE_BYTES


def test_sources_about_different_things_lie_apart(sample):
    found = draw_map(sample)
    assert sum(topic.share for topic in found.topics) == pytest.approx(1, abs=0.01)
    pure = sum(topic.share * max(topic.by_source.values()) for topic in found.topics)
    natural = max(sample.kept_bytes) / sum(sample.kept_bytes)
    assert pure > 0.95 > natural, "a topic is mostly of one source here; one topic of all would not be"
    words = {word for topic in found.topics for word in topic.words}
    assert words & {"aaron", "abraham", "israel", "david", "moses"} and words & {"array", "axis", "ndarray"}
    assert 1 < found.effective <= len(found.topics)
    assert all(-1 <= place <= 1 for topic in found.topics for place in (topic.x, topic.y))


def test_the_same_map_again(sample):
    assert draw_map(sample).topics == draw_map(sample).topics


def test_where_new_text_belongs(sample):
    found = draw_map(sample)
    shares = found.shares_of(["The array has the shape of the axis that is given, and its elements are of type float."])
    assert shares.sum() == pytest.approx(1)
    topic = found.topics[int(shares.argmax())]
    assert max(topic.by_source, key=topic.by_source.get) == "numpy-docstrings"


def test_styles_differ(sample):
    king, numpy, _ = styles(sample)
    assert set(king) == {"source", *MEASURES}
    assert king["words_per_sentence"] > 15 and king["first_person"] > 5 * numpy["first_person"]
