"""Rows of one source: what they hold, where they start, what an epoch leaves out, and that nothing else decides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.errors import SettingsError, SourceError
from coldframe.mixture.packing import DOCUMENT, LINE, PARAGRAPH, SENTENCE, Packing, permutation
from tests.mixture.sources import BOS, BOUNDARY, PLAIN, MemorySource, lognormal, made_up, python_topics, rows_digest

lengths = st.one_of(
    st.lists(st.integers(1, 30), min_size=1, max_size=60),  # chats
    st.lists(st.integers(1, 3), min_size=1, max_size=60),
    st.lists(st.integers(300, 2000), min_size=1, max_size=3),  # novels
    st.lists(st.one_of(st.integers(1, 30), st.integers(200, 900)), min_size=1, max_size=20),
)

DISTRIBUTIONS = {
    "one novel": [120_000],
    "novels": [9000, 40_000, 70_000, 21_000],
    "short chats": lognormal(40, 0.6, 90_000),
    "chats": lognormal(215, 0.7, 90_000),
    "pages": lognormal(700, 1.2, 150_000),
    "all equal to a row": [513] * 150,
    "all a bit longer than a row": [540] * 150,
    "all of 300": [300] * 300,
    "novel among chats": [60_000, *lognormal(60, 0.8, 60_000)],
    "single tokens": [1] * 3000,
    "few rows": lognormal(150, 0.8, 4000),
    "two rows": [700],
}


def lost_share(source: MemorySource, packing: Packing, epoch: int) -> float:
    """Share of the source's tokens in no row of an epoch, by marking each."""
    seen = np.zeros(source.num_tokens, dtype=bool)
    for k in range(epoch * packing.rows_per_epoch, (epoch + 1) * packing.rows_per_epoch):
        for span in packing.explain(k):
            seen[span.start : span.stop] = True
    return 1 - float(seen.mean())


@given(lengths=lengths, context=st.integers(1, 70), seed=st.integers(0, 5), masked=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_row_is_the_source_at_its_spans(lengths: list[int], context: int, seed: int, masked: bool):
    source = made_up("made up", lengths, seed=seed)
    if masked:
        source.mask = np.random.default_rng(seed).integers(0, 2, source.num_tokens).astype(np.uint8)
    packing = Packing(source, context=context, seed=seed)
    offsets = source.document_offsets.tolist()
    for k in range(min(2 * packing.rows_per_epoch, 60)):
        tokens, mask = packing.row(k)
        assert tokens.shape == (context + 1,) and mask.shape == (context,) and tokens[0] == BOS
        expected, expected_mask, column, ended = [], [], 0, True
        for span in packing.explain(k):
            assert span.column == column
            assert offsets[span.document] <= span.start <= span.stop <= offsets[span.document + 1]
            assert span.inserted_bos == (span.start not in offsets)  # so a row never runs on without BOS
            counts = (
                np.ones(span.stop - span.start) if source.mask is None else source.mask[span.start : span.stop].copy()
            )
            if not ended and not span.inserted_bos:
                counts[0] = 0  # the text before was cut off: this BOS does not say that it ended
            expected += [BOS] * span.inserted_bos + source.tokens[span.start : span.stop].tolist()
            expected_mask += [0] * span.inserted_bos + counts.tolist()
            column, ended = len(expected), span.stop in offsets
        assert tokens.tolist() == expected
        assert mask.tolist() == expected_mask[1:]


@given(lengths=lengths, context=st.integers(8, 64), plain=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_row_starts_at_a_document_or_sentence_when_one_is_in_reach(lengths: list[int], context: int, plain: bool):
    source = made_up("made up", lengths, boundary=PLAIN if plain else BOUNDARY)
    packing = Packing(source, context=context, seed=3)
    if packing.rows_per_epoch == 1:
        return
    epoch, reach, tape = packing._tape(0), context // 8, packing.tape_tokens
    strengths = np.zeros(tape, dtype=int)  # of a start at each place of the tape, worked out unit by unit
    for unit, at in zip(epoch.units, epoch.edges[:-1], strict=True):
        start, stop = int(packing._edges[unit]), int(packing._edges[unit + 1])
        whole = start in source.document_offsets
        tokens = [BOS] * (not whole) + source.tokens[start:stop].tolist()
        strengths[at] = DOCUMENT if whole else source.boundary[source.tokens[start - 1]]
        strengths[at + 1 : at + len(tokens)] = source.boundary[tokens[:-1]]
    for k in range(packing.rows_per_epoch):
        even = int(epoch.rows[k]) * tape // packing.rows_per_epoch
        best = max(strengths[(even + d) % tape] for d in range(-reach, reach + 1))
        got = packing.start_strength(k)
        assert got >= min(best, SENTENCE)


@pytest.mark.parametrize("context", [128, 512])
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.parametrize("boundary", ["text", "none"])
def test_an_epoch_loses_at_most_three_percent(kind: str, context: int, boundary: str):
    source = made_up(kind, DISTRIBUTIONS[kind], boundary=PLAIN if boundary == "none" else BOUNDARY)
    packing = Packing(source, context=context, seed=0)
    for epoch in (0, 1, 7):
        assert lost_share(source, packing, epoch) <= 0.03


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=80),
    context=st.integers(16, 128),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_any_source_loses_at_most_three_percent(lengths: list[int], context: int, seed: int):
    source = made_up("any", lengths, seed=seed)
    packing = Packing(source, context=context, seed=seed)
    assert lost_share(source, packing, 0) <= 0.03


@pytest.mark.parametrize("joined", [False, True])
def test_real_text_loses_little_and_is_read_hardly_twice(joined: bool):
    source = python_topics(joined=joined)
    packing = Packing(source, context=512, seed=0)
    assert lost_share(source, packing, 0) <= 0.03
    assert packing.rows_per_epoch * 513 <= 1.06 * source.num_tokens
    starts = [packing.start_strength(k) for k in range(packing.rows_per_epoch)]
    assert np.mean(np.array(starts) >= LINE) > 0.9  # some of these texts are long tables and grammars


def test_an_epoch_has_every_row_once_and_the_next_has_another_order():
    source = made_up("pages", lognormal(200, 1, 30_000))
    packing = Packing(source, context=128, seed=0)
    count = packing.rows_per_epoch
    epochs = [[packing.explain(k) for k in range(epoch * count, (epoch + 1) * count)] for epoch in range(3)]
    assert all(len(set(rows)) == count for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == 3
    first, second = ([row[0].document for row in rows] for rows in epochs[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_pieces_of_a_novel_are_spread_over_the_epoch():
    source = made_up("novel", [200_000])
    packing = Packing(source, context=128, seed=0)
    first = [packing.explain(k)[0].start for k in range(packing.rows_per_epoch)]
    assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.15
    assert abs(np.corrcoef(packing._edges[packing._tape(0).units], np.arange(len(packing._lengths)))[0, 1]) < 0.25
    assert packing._lengths.min() > 5 * 128 and packing._lengths.max() < 13 * 128
    assert (packing._strength >= SENTENCE).mean() > 0.95
    # A paragraph ends after one token in 128: most cuts have one in reach.
    assert (packing._strength == PARAGRAPH).mean() > 0.5


@pytest.mark.parametrize("lengths", [[1], [5], [1, 1, 1], [40, 20], [256], [257], [258], [129, 129]])
def test_a_tiny_source_wraps_around(lengths: list[int]):
    source = made_up("tiny", lengths)
    packing = Packing(source, context=256, seed=0)
    assert packing.rows_per_epoch == (1 if sum(lengths) <= 257 else 2)
    for k in range(5):
        tokens, _ = packing.row(k)
        assert tokens.shape == (257,) and tokens[0] == BOS
    assert lost_share(source, packing, 0) == 0


def test_rows_do_not_depend_on_the_order_of_asking():
    source = python_topics()
    count = 3 * Packing(source, context=1024, seed=5).rows_per_epoch
    straight = [Packing(source, context=1024, seed=5).row(k)[0].tolist() for k in (0, 1, count - 1)]
    packing = Packing(source, context=1024, seed=5)
    jumping = {k: packing.row(k)[0].tolist() for k in np.random.default_rng(0).permutation(count).tolist()}
    again = Packing(source, context=1024, seed=5)
    assert all(again.row(k)[0].tolist() == jumping[k] for k in range(count))
    assert straight == [jumping[k] for k in (0, 1, count - 1)]


def test_rows_are_the_same_in_another_process_and_differ_by_seed_and_name():
    here = Path(__file__).parent
    code = "from sources import rows_digest; print(rows_digest('topics', 0))"
    for hash_seed in ("1", "2"):
        paths = os.pathsep.join([str(here), str(here.parent.parent)])
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == rows_digest("topics", 0)
    assert len({rows_digest("topics", 0), rows_digest("topics", 1), rows_digest("other", 0)}) == 3


def test_permutations_are_what_they_were():
    """Rows of a recorded run depend on this: a change here changes what every run would read."""
    assert permutation(8, "rows", 0, "name", "hash", 0).tolist() == [2, 3, 7, 0, 4, 5, 6, 1]


def test_a_source_that_cannot_be_packed_is_refused():
    with pytest.raises(SourceError, match="'empty' has no tokens"):
        Packing(MemorySource("empty", []), context=8, seed=0)
    source = made_up("torn", [5, 5])
    source.document_offsets = np.array([0, 5, 5, 9])
    with pytest.raises(SourceError, match="do not divide its 10 tokens"):
        Packing(source, context=8, seed=0)
    with pytest.raises(SettingsError, match="context is 0"):
        Packing(made_up("fine", [5]), context=0, seed=0)
