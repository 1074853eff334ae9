"""Quality tells good text from shuffled, damaged, looped and templated text: real pages, and the same ones spoiled."""

from __future__ import annotations

import random

import numpy as np
import pytest

from coldframe.corpus.curation.quality import freshness, score, surprises
from coldframe.corpus.curation.sampling import Passage, Sample, take_sample


def likelier(good, bad):
    """How often a good one scores above a bad one: the area under the ROC curve."""
    wins = (good[:, None] > bad[None, :]).mean() + 0.5 * (good[:, None] == bad[None, :]).mean()
    return float(wins)


def shuffled(text, draw):
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def misread(text, draw):
    """As a bad scan: one letter in twelve is another, some words are cut in two."""
    swaps = {"l": "1", "o": "0", "e": "c", "h": "li", "m": "rn", "i": "j", "s": "5"}
    return "".join(swaps.get(letter, letter) if draw.random() < 0.25 else letter for letter in text)


def looped(text, draw):
    words = text.split()[:40]
    return " ".join(words * 8)


def templated(text, draw):
    words = text.split()
    return (
        f"Please tell me what you would like to order today, and I will be glad to help you with {words[0]} at once. "
        f"Is this order of {words[1]} correct? Please let me know if you want me to change anything about {words[2]} "
        f"before I send it off to the kitchen. Thank you for your order, it will be ready for {words[3]} very soon."
    )


@pytest.mark.parametrize(
    ("source", "spoil", "least"),
    [
        ("king-james", shuffled, 0.98),
        ("king-james", misread, 0.98),
        ("king-james", looped, 0.98),
        ("king-james", templated, 0.98),
        ("python-docstrings", shuffled, 0.98),
        ("python-docstrings", misread, 0.6),  # names and code look as a bad scan does: docs/corpus.md says so
        ("python-docstrings", looped, 0.98),
        ("python-docstrings", templated, 0.98),
    ],
)
def test_good_text_scores_above_what_was_made_of_it(corpus, source, spoil, least):
    sample = take_sample([corpus[source]])
    draw = random.Random(1)
    chosen = [p for p in sample.passages if len(p.text.split()) > 100]
    draw.shuffle(chosen)
    few = len(chosen) // 10
    bad = [Passage(p.source, p.place, spoil(p.text, draw), p.weight) for p in chosen[:few]]
    mixed = Sample(sample.manifests, (*chosen[few:], *bad), sample.kept_bytes)
    scores = score(mixed).scores
    found = likelier(scores[: len(chosen) - few], scores[len(chosen) - few :])
    assert found >= least
    assert scores.min() >= 0 and scores.max() <= 100


def test_surprise_is_of_other_texts(corpus):
    sample = take_sample([corpus["king-james"]])
    texts = [p.text for p in sample.passages][:150]
    alone = surprises([*texts, "zorb blint quax " * 30])
    assert alone[-1, 0] > np.nanmax(alone[:-1, 0]) - 1, "its own repetitions do not make it likely"
    assert np.isnan(surprises(["too short to tell"])).all()


def test_freshness_is_what_nobody_else_says():
    one, two = "the cat sat on the mat and looked at the moon", "a dog ran over the hill to see what was there"
    assert freshness([one, two]).tolist() == [1.0, 1.0]
    assert freshness([one, two, one]).tolist() == [0.0, 1.0, 0.0]
    assert freshness([one + " " + two, two, ""])[1:].tolist() == [0.0, 1.0]


def test_the_same_again(corpus):
    folders = list(corpus.values())
    first, second = score(take_sample(folders)), score(take_sample(folders))
    assert np.array_equal(first.scores, second.scores)
