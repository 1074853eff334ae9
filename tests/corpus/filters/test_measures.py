"""The fast measures: equal to the plain ones on anything."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldframe.corpus.filters import quality, repetition
from coldframe.corpus.filters.texts import Texts
from tests.corpus.filters import plain

WORDS = st.sampled_from(
    ["the", "the", "a", "rain", "rain,", "falls", "#", "...", "…", "- x", "Ünï", "12", "你好", "\u2003", "• y"]
)
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", " \n \n", "\t", "  ", "\u3000"])
TEXT = st.lists(st.tuples(WORDS, SPACES), max_size=80).map(lambda parts: "".join(a + b for a, b in parts))
TEXTS = st.lists(TEXT, max_size=6)


@pytest.mark.parametrize(("fast", "slow"), [(repetition.measure, plain.repetition), (quality.measure, plain.quality)])
@settings(max_examples=300, deadline=None)
@given(texts=TEXTS)
@example(texts=[])
@example(texts=["", " ", "word", "...", "\n\n"])
@example(texts=["one two three four five six " * 200, "x", "the " * 600])
@example(texts=["a", "." * 5000 + "x", "." * 5000 + "y"])
def test_measures_equal_the_plain_ones(fast, slow, texts: list[str]) -> None:
    found = fast(Texts(texts))
    for number, text in enumerate(texts):
        for name, value in slow(text).items():
            assert math.isclose(found[name][number], value, rel_tol=1e-12, abs_tol=1e-12), (name, text[:200])
