"""Stages: what is refused, exact counts per block, cursors against a plain count, and that appending moves nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.errors import SettingsError
from coldframe.mixture.stages import CHUNK, Schedule, Stage, append, block_counts, checked, stage_from_json


def stage(start_block: int = 0, skip_blocks: tuple[int, ...] = (), **shares: float) -> Stage:
    sources = {name: f"{name}-1" for name in shares}
    return Stage(
        start_block=start_block, shares=shares, sources=sources, skip_blocks=skip_blocks, by="plan", why="test"
    )


@st.composite
def some_stages(draw: st.DrawFn) -> list[Stage]:
    """One to four stages over up to five sources: some shares of 0, some new manifests, some blocks skipped."""
    starts = [0, *sorted(draw(st.sets(st.integers(1, 40), max_size=3)))]
    stages = []
    for start in starts:
        weights = draw(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 9), min_size=1))
        if not any(weights.values()):
            weights["a"] = 1
        total = sum(weights.values())
        stages.append(
            Stage(
                start_block=start,
                shares={name: weight / total for name, weight in weights.items()},
                sources={name: f"{name}-{draw(st.integers(1, 2))}" for name in weights},
                skip_blocks=tuple(draw(st.sets(st.integers(start, 50), max_size=2))),
                by="plan",
                why="drawn",
            )
        )
    return stages


@given(stages=some_stages(), block_rows=st.integers(1, 100))
@settings(max_examples=50, deadline=None)
def test_counts_are_exact_and_cursors_are_their_sums(stages: list[Stage], block_rows: int):
    schedule = Schedule(stages, block_rows=block_rows)
    plain: dict[tuple[str, str], int] = {}
    for block in range(60):
        governing = [s for s in stages if s.start_block <= block][-1]
        assert {source: n for source, n in schedule.cursors(block).items() if n} == plain
        counts = schedule.counts(block)
        assert sum(counts.values()) == block_rows
        for name, share in governing.shares.items():
            assert abs(counts.get(name, 0) - share * block_rows) < 1
            assert share > 0 or name not in counts
        for name, count in counts.items():
            if count:
                key = (name, governing.sources[name])
                plain[key] = plain.get(key, 0) + count


@given(stages=some_stages(), block=st.integers(0, 20 * CHUNK))
@settings(max_examples=30, deadline=None)
def test_cursors_do_not_depend_on_what_was_asked_before(stages: list[Stage], block: int):
    walked = Schedule(stages, block_rows=16)
    for earlier in (3, block // 2, block, 7):
        walked.cursors(earlier)
    assert walked.cursors(block) == Schedule(stages, block_rows=16).cursors(block)


def test_shares_hold_over_many_blocks_to_within_a_few_rows():
    mixture = stage(books=0.61, chat=0.2357, docs=0.1543 - 1e-4, rare=1e-4)
    counts = block_counts(mixture, np.arange(100_000), block_rows=64)
    wanted = np.array([mixture.shares[name] for name in mixture.read_sources]) * 64
    off = np.cumsum(counts, axis=0) - np.arange(1, 100_001)[:, None] * wanted
    assert np.abs(off).max() < 5
    assert counts[:, 3].sum() == pytest.approx(640, abs=5)  # a source far below one row a block has its share too


def test_a_share_of_nothing_is_never_read():
    mixture = stage(a=0.5, never=0.0, z=0.5)
    assert block_counts(mixture, np.arange(10_000), block_rows=63).shape == (10_000, 2)
    assert "never" not in Schedule([mixture], block_rows=63).counts(5)


@given(stages=some_stages())
def test_json_gives_the_same_stage_back(stages: list[Stage]):
    for one in stages:
        assert stage_from_json(json.loads(json.dumps(one.as_json()))) == one


def test_appending_changes_no_earlier_block():
    schedule = Schedule([stage(a=0.5, b=0.5)], block_rows=10)
    before = [(schedule.counts(block), schedule.cursors(block)) for block in range(30)]
    longer = schedule.appended(stage(30, (33,), a=0.1, c=0.9), first_free_block=25)
    assert [(longer.counts(block), longer.cursors(block)) for block in range(30)] == before
    assert longer.names == ("a", "b", "c")
    assert longer.skipped == {33}
    assert schedule.counts(30) != longer.counts(30)
    assert longer.cursors(31) == Schedule(longer.stages, block_rows=10).cursors(31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": {"a": 0.5}}, "sum to 0.5"),
        ({"shares": {"a": 1.5, "b": -0.5}}, "share of 1.5"),
        ({"shares": {"a": float("nan")}}, "share of nan"),
        ({"shares": {"ab": 1.0}}, "unknown source 'ab'"),
        ({"shares": {}}, "sum to 0"),
        ({"start_block": -1}, "starts before the first block"),
        ({"start_block": 5, "skip_blocks": (4, 9)}, "skips block 4"),
        ({"by": "nobody"}, "by 'nobody'"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused(change: dict[str, object], message: str):
    good = stage(a=0.5, b=0.5)
    with pytest.raises(SettingsError, match=message):
        replace(good, **change)


def test_recorded_stages_that_make_no_sense_are_refused():
    record = stage(a=1.0).as_json()
    with pytest.raises(SettingsError, match="no field 'start'"):
        stage_from_json(record | {"start": 0})
    with pytest.raises(SettingsError, match="cannot be read"):
        stage_from_json({"start_block": 0})
    with pytest.raises(SettingsError, match="cannot be read"):
        stage_from_json(record | {"shares": {"a": "much"}})


def test_the_order_of_stages_is_checked():
    first = stage(a=1.0)
    with pytest.raises(SettingsError, match="no stages"):
        checked([])
    with pytest.raises(SettingsError, match="first stage starts at block 3"):
        checked([stage(3, a=1.0)])
    with pytest.raises(SettingsError, match="starts at block 4, the one before it at block 4"):
        checked([first, stage(4, a=1.0), stage(4, a=1.0)])
    with pytest.raises(SettingsError, match="cannot start at block 9: blocks before 10"):
        append([first], stage(9, a=1.0), first_free_block=10)
    assert append([first], stage(10, a=1.0), first_free_block=10)[0] is first
    with pytest.raises(SettingsError, match="block of 0 rows"):
        Schedule([first], block_rows=0)
