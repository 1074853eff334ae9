"""The stream: the same rows however they are asked for, history that nothing moves, and reading ahead."""

from __future__ import annotations

import pydoc_data.topics
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.errors import SettingsError, ShardError
from coldframe.mixture.packing import Packing
from coldframe.mixture.stages import Stage
from coldframe.mixture.stream import Batch, Prefetcher, Stream
from coldframe.tokens.shard_writer import ShardWriter
from coldframe.tokens.shards import TokenSource
from coldframe.tokens.tokenizer import Tokenizer
from tests.mixture.sources import MemorySource, lognormal, made_up, python_topics

CONTEXT, BLOCK_ROWS = 64, 16
CHAT = made_up("chat", lognormal(30, 0.6, 4000))
BOOK = made_up("book", [9000])
TOPICS = python_topics()
SOURCES = [CHAT, BOOK, TOPICS]


def stage(start_block: int = 0, *, skip_blocks: tuple[int, ...] = (), **shares: float) -> Stage:
    sources = {source.name: source.manifest_hash for source in SOURCES}
    return Stage(
        start_block=start_block, shares=shares, sources=sources, skip_blocks=skip_blocks, by="user", why="test"
    )


def stream(*stages: Stage, sources: list[MemorySource] | None = None) -> Stream:
    stages = stages or (stage(chat=0.5, book=0.2, topics=0.3),)
    return Stream(sources or SOURCES, stages, seed=7, context=CONTEXT, block_rows=BLOCK_ROWS)


def same(one: Batch, other: Batch) -> bool:
    pairs = ((one.tokens, other.tokens), (one.mask, other.mask), (one.source, other.source), (one.rows, other.rows))
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def joined(batches: list[Batch]) -> Batch:
    return Batch(
        tokens=np.concatenate([b.tokens for b in batches]),
        mask=np.concatenate([b.mask for b in batches]),
        source=np.concatenate([b.source for b in batches]),
        rows=np.concatenate([b.rows for b in batches]),
    )


STRAIGHT = stream(stage(chat=0.5, book=0.2, topics=0.3), stage(9, skip_blocks=(10, 12, 13), chat=1.0))
STRAIGHT_BATCH = STRAIGHT.batch(0, 320)


@given(data=st.data(), ranks=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_batches_of_any_size_and_any_number_of_ranks_join_to_the_same_rows(data: st.DataObject, ranks: int):
    row, parts, missing = 0, [], 320
    while missing:
        count = min(missing, data.draw(st.integers(1, 90)))
        fresh = stream(*STRAIGHT.stages) if data.draw(st.booleans()) else STRAIGHT
        parts += [fresh.batch(row, count, rank=rank, ranks=ranks) for rank in range(ranks)]
        row, missing = fresh.next_row(row, count), missing - count
    assert same(joined(parts), STRAIGHT_BATCH)


@given(rows=st.lists(st.integers(0, 5000), max_size=20))
@settings(max_examples=5, deadline=None)
def test_a_row_does_not_depend_on_what_was_read_before(rows: list[int]):
    jumping = stream()
    for row in rows:
        assert same(jumping.batch(row, 1), stream().batch(row, 1))


def test_a_batch_is_what_the_sources_rows_are():
    reading = stream()
    packings = {source.name: Packing(source, context=CONTEXT, seed=7) for source in SOURCES}
    seen = {source.name: [] for source in SOURCES}
    batch = reading.batch(0, 50 * BLOCK_ROWS)
    for i, row in enumerate(batch.rows.tolist()):
        why = reading.explain(row)
        assert why.source == reading.names[batch.source[i]] and why.block == row // BLOCK_ROWS
        tokens, mask = packings[why.source].row(why.source_row)
        assert np.array_equal(batch.tokens[i], tokens) and np.array_equal(batch.mask[i], mask)
        assert why.spans == packings[why.source].explain(why.source_row)
        assert why.epoch == why.source_row // packings[why.source].rows_per_epoch
        seen[why.source].append(why.source_row)
    for name, read in seen.items():  # every row of every source once and in turn: also across its epochs
        assert read == list(range(len(read)))
        assert reading.cursors(50 * BLOCK_ROWS)[name, packings[name].source.manifest_hash] == len(read)
    assert len(seen["chat"]) > 2 * packings["chat"].rows_per_epoch
    assert [len(seen[name]) for name in ("chat", "book", "topics")] == pytest.approx([400, 160, 240], abs=2)


def test_skipped_blocks_are_passed_over():
    rows = STRAIGHT_BATCH.rows.tolist()
    assert {row // BLOCK_ROWS for row in rows} == set(range(23)) - {10, 12, 13}
    assert STRAIGHT.next_row(0, 160) == 160
    assert STRAIGHT.next_row(160, 1) == 11 * BLOCK_ROWS + 1
    assert STRAIGHT.explain(165).skipped
    whole = stream(stage(chat=0.5, book=0.2, topics=0.3), stage(9, chat=1.0)).batch(0, 23 * BLOCK_ROWS)
    kept = np.isin(whole.rows, STRAIGHT_BATCH.rows)
    assert np.array_equal(whole.tokens[kept], STRAIGHT_BATCH.tokens)  # nothing else moved


def test_appending_adding_and_growing_never_change_earlier_rows():
    reading = stream()
    before = reading.batch(0, 20 * BLOCK_ROWS)
    reading.batch(20 * BLOCK_ROWS, 5)  # also looked at, though not yet trained on
    grown = MemorySource("chat", [*np.split(CHAT.tokens, CHAT.document_offsets[1:-1]), np.arange(1, 200)])
    added = made_up("added", [500, 700], seed=9)
    sources = {s.name: s.manifest_hash for s in (grown, BOOK, added)}
    shares = {"added": 0.25, "book": 0.25, "chat": 0.5}
    later = Stage(start_block=20, shares=shares, sources=sources, by="user", why="grown")
    with pytest.raises(SettingsError, match="reads source 'added'"):
        reading.append(later, first_free_block=20)
    with pytest.raises(SettingsError, match="cannot start at block 20"):
        reading.append(later, first_free_block=21, sources=[grown, added])
    assert len(reading.stages) == 1
    reading.append(later, first_free_block=20, sources=[grown, added])
    assert same(reading.batch(0, 20 * BLOCK_ROWS), before)
    after = reading.batch(20 * BLOCK_ROWS, BLOCK_ROWS)
    assert reading.names == ("book", "chat", "topics", "added")
    assert np.bincount(after.source).tolist() == [4, 8, 0, 4]
    fresh = Stream([*SOURCES, grown, added], reading.stages, seed=7, context=CONTEXT, block_rows=BLOCK_ROWS)
    assert same(fresh.batch(20 * BLOCK_ROWS, BLOCK_ROWS), after)
    first_chat = next(row for row in after.rows.tolist() if reading.explain(row).source == "chat")
    assert reading.explain(first_chat).source_row == 0 and reading.explain(first_chat).manifest_hash == sources["chat"]


def test_a_share_of_nothing_needs_no_source_and_is_never_read():
    reading = stream(stage(chat=1.0, book=0.0), sources=[CHAT])
    assert {reading.names[i] for i in reading.batch(0, 200).source} == {"chat"}


def test_a_source_that_is_gone_matters_only_where_it_is_read():
    with pytest.raises(SettingsError, match="reads source 'book'"):
        stream(sources=[CHAT, TOPICS])
    reading = stream(stage(book=1.0), stage(4, chat=1.0), sources=[CHAT])
    assert reading.batch(4 * BLOCK_ROWS, 3).rows.tolist() == [64, 65, 66]
    with pytest.raises(ShardError, match="reads source 'book'"):
        reading.batch(0, 1)


@pytest.mark.parametrize("count", [1, 7, 16, 40])
def test_reading_ahead_gives_what_reading_gives(count: int):
    with Prefetcher(stream(*STRAIGHT.stages), 5, count) as batches:
        row = 5
        for _ in range(12):
            assert batches.row == row
            assert same(next(batches), STRAIGHT.batch(row, count))
            row = STRAIGHT.next_row(row, count)
    with Prefetcher(STRAIGHT, 5, count, rank=1, ranks=2) as batches:
        assert same(next(batches), STRAIGHT.batch(5, count, rank=1, ranks=2))


def test_a_stage_may_begin_behind_what_can_have_been_read_ahead():
    reading = stream()
    with Prefetcher(reading, 0, 10, depth=4) as batches:
        taken = [next(batches) for _ in range(3)]
        assert batches.highest_block == (30 + 40 - 1) // BLOCK_ROWS == 4
        with pytest.raises(SettingsError, match="cannot start at block 4"):
            batches.append(stage(4, book=1.0))
        batches.append(stage(5, skip_blocks=(6,), book=1.0))
        taken += [next(batches) for _ in range(10)]
    expected = stream(stage(chat=0.5, book=0.2, topics=0.3), stage(5, skip_blocks=(6,), book=1.0)).batch(0, 130)
    assert same(joined(taken), expected)
    assert {reading.names[i] for i in expected.source[80:]} == {"book"}


def test_no_more_is_read_ahead_than_said():
    class Counted(MemorySource):
        reads = 0

        def read(self, start: int, stop: int) -> np.ndarray:
            Counted.reads += 1
            return super().read(start, stop)

    source = Counted("book", [np.random.default_rng(0).integers(1, 500, 9000)])
    only = Stage(start_block=0, shares={"book": 1.0}, sources={"book": source.manifest_hash}, by="plan", why="")
    reading = Stream([source], [only], seed=0, context=CONTEXT, block_rows=BLOCK_ROWS)
    reading.packing("book")
    Counted.reads = 0
    reading.batch(0, 30)
    needed, Counted.reads = Counted.reads, 0
    with Prefetcher(reading, 0, 10, depth=3) as batches:
        assert not batches._thread.join(0.3)
        assert Counted.reads == needed


def test_an_error_of_the_thread_reaches_the_consumer():
    class Torn(MemorySource):
        torn = False

        def read(self, start: int, stop: int) -> np.ndarray:
            if self.torn:
                raise ShardError("shard torn")
            return super().read(start, stop)

    source = Torn("book", [np.random.default_rng(0).integers(1, 500, 9000)])
    only = Stage(start_block=0, shares={"book": 1.0}, sources={"book": source.manifest_hash}, by="plan", why="")
    with Prefetcher(Stream([source], [only], seed=0, context=CONTEXT, block_rows=BLOCK_ROWS), 0, 4) as batches:
        next(batches)
        source.torn = True
        with pytest.raises(ShardError, match="shard torn"):
            for _ in range(10):
                next(batches)
        row = batches.row
        with pytest.raises(ShardError, match="shard torn"):
            next(batches)
        assert batches.row == row


def test_closing_ends_the_thread():
    before = threading.active_count()
    batches = Prefetcher(stream(), 0, 4)
    next(batches)
    batches.close()
    batches.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        next(batches)
    with pytest.raises(SettingsError, match="batch of 0 rows"):
        Prefetcher(stream(), 0, 0)


def test_shards_on_disk_make_the_rows_that_their_tokens_make(tmp_path: Path):
    texts = [text for _, text in sorted(pydoc_data.topics.topics.items())][:25]
    tokenizer = Tokenizer.train(texts, 600)
    record = {"name": "topics", "kind": "prose", "licence": "PSF-2.0", "origin": "", "fields": [], "language": "en"}
    with ShardWriter(tmp_path, record, tokenizer, shard_tokens=20_000) as writer:
        for text in texts:
            ids = np.array([tokenizer.bos, *tokenizer.encode(text)])
            writer.add(ids, (ids % 3 > 0).astype(np.uint8))
        source = TokenSource.open(writer.finish())
    assert len(source.manifest["train"]["shards"]) > 2
    only = Stage(start_block=0, shares={"topics": 1}, sources={"topics": source.manifest_hash}, by="plan", why="")
    reading = Stream([source], [only], seed=0, context=CONTEXT, block_rows=BLOCK_ROWS)
    tokens, kept = source.read(0, source.num_tokens), source.read_mask(0, source.num_tokens)
    with Prefetcher(reading, 0, 32) as batches:
        batch = joined([next(batches) for _ in range(40)])
    assert len(batch.rows) > reading.packing("topics").rows_per_epoch
    for i, row in enumerate(batch.rows.tolist()):
        for span in reading.explain(row).spans:
            first = span.column + span.inserted_bos
            last = first + span.stop - span.start
            assert np.array_equal(batch.tokens[i, first:last], tokens[span.start : span.stop])
            # Column c of the mask is about token c + 1; a span's first token may be a BOS that does not count.
            assert np.array_equal(batch.mask[i, first : max(first, last - 1)], kept[span.start + 1 : span.stop])
