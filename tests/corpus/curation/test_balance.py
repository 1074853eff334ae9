"""Shares come to one, stay within their bounds, and lean towards the small and the good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.corpus.curation.balance import WIDEST, balance

SOURCES = st.lists(st.tuples(st.integers(1, 10**12), st.floats(0, 100)), min_size=1, max_size=12)


@given(SOURCES, st.one_of(st.none(), st.floats(1, 1e13)))
def test_shares(sources, training):
    names = [f"s{number}" for number in range(len(sources))]
    lines = balance(names, [tokens for tokens, _ in sources], [quality for _, quality in sources], training)
    assert sum(line.proposed for line in lines) == pytest.approx(1, abs=1e-3 * len(lines))
    for line in lines:
        assert line.low - 2e-4 <= line.proposed <= max(line.high, line.natural) + 2e-4
        assert line.natural / WIDEST - 2e-4 <= line.proposed <= line.natural * WIDEST + 2e-4
        assert (line.epochs is None) == (training is None)


def test_the_small_and_the_good_gain():
    large, small = balance(["large", "small"], [9_000_000, 1_000_000], [80, 80], 1e6)
    assert small.proposed > small.natural and large.proposed < large.natural
    [_, bad], [_, good] = (balance(["a", "b"], [10**6, 10**6], [80, quality], 1e6) for quality in (20, 100))
    assert bad.proposed < 0.5 < good.proposed


def test_nothing_is_read_too_often():
    lines = balance(["large", "small"], [9_000_000, 100_000], [80, 80], 20e6)
    assert lines[1].epochs <= 4.01
