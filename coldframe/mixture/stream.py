"""The rows of a run by number, whoever asks and in whichever order; and a thread that reads them ahead.

Row r stands in block r // block_rows. The block's stage says how many rows of each source it holds, a keyed permutation
in which order, the cursors which rows of each source they are, and packing what is in those. So a row is a pure
function of (seed, stages, r), and the only state of a loader is the number of the next row.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from coldframe.errors import SettingsError, ShardError
from coldframe.mixture.packing import Packing, Span, TokenSource, permutation
from coldframe.mixture.stages import Schedule, Stage

NUM_CACHED_BLOCKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows ready for the model."""

    tokens: npt.NDArray[np.int32]
    """[rows, context + 1]: inputs are all but the last, targets all but the first."""
    mask: npt.NDArray[np.uint8]
    """[rows, context]: 1 where the target counts."""
    source: npt.NDArray[np.int32]
    """[rows]: index into `Stream.names`."""
    rows: npt.NDArray[np.int64]
    """[rows]: each row's number in the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Why a row is what it is."""

    row: int
    block: int
    skipped: bool
    stage: Stage
    source: str
    manifest_hash: str
    source_row: int
    """Which row of the source, counted over all epochs."""
    epoch: int
    start_strength: int
    """What the row starts at: 5 document, 4 paragraph, 3 sentence, 2 line, 1 clause or word, 0 none of these."""
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """What stands in a block: its stage; per position the source (index into the names) and which row of it."""

    stage: Stage
    source: npt.NDArray[np.int32]
    source_row: npt.NDArray[np.int64]


class Stream:
    """The rows of a run. Holds no position: `batch` and `explain` may be called in any order and from several threads.

    Raises SettingsError when the last stage needs a source that is not among `sources`; ShardError when a row is asked
    for whose older stage needs one.
    """

    def __init__(
        self, sources: Iterable[TokenSource], stages: Iterable[Stage], *, seed: int, context: int, block_rows: int
    ) -> None:
        self.seed, self.context, self.block_rows = seed, context, block_rows
        self._schedule = Schedule(tuple(stages), block_rows=block_rows)
        self._sources = {(source.name, source.manifest_hash): source for source in sources}
        self._packings: dict[tuple[str, str], Packing] = {}
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._blocks: dict[int, _Block] = {}
        _check_present(self._schedule.stages[-1], self._sources)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in the order in which they begin."""
        return self._schedule.stages

    @property
    def names(self) -> tuple[str, ...]:
        """The sources that `Batch.source` points at; appending a stage only adds to the end."""
        return self._schedule.names

    def append(self, stage: Stage, *, first_free_block: int, sources: Iterable[TokenSource] = ()) -> None:
        """Let a stage begin at a block that nobody has read; `sources` are those that the stream does not have yet.

        Raises SettingsError when the stage starts before `first_free_block` or needs a source that is not there; then
        nothing has changed.
        """
        known = self._sources | {(source.name, source.manifest_hash): source for source in sources}
        _check_present(stage, known)
        schedule = self._schedule.appended(stage, first_free_block=first_free_block)
        with self._lock:
            self._sources = known
            self._schedule = schedule
            # A block of the new stage may have been looked at before: forget it.
            self._blocks = {number: block for number, block in self._blocks.items() if number < stage.start_block}

    def row_numbers(self, row: int, count: int) -> npt.NDArray[np.int64]:
        """The next `count` rows from `row` on that are not in a skipped block [count]."""
        skipped = self._schedule.skipped
        parts = [np.empty(0, dtype=np.int64)]
        while count > 0:
            block, position = divmod(row, self.block_rows)
            taken = 0 if block in skipped else min(count, self.block_rows - position)
            parts.append(np.arange(row, row + taken))
            row = row + taken if taken else (block + 1) * self.block_rows
            count -= taken
        return np.concatenate(parts)

    def next_row(self, row: int, count: int) -> int:
        """Where the batch after the one of `count` rows from `row` on begins: the new data cursor."""
        return int(self.row_numbers(row, count)[-1]) + 1 if count else row

    def batch(self, row: int, count: int, *, rank: int = 0, ranks: int = 1) -> Batch:
        """The next `count` rows from `row` on; each of several ranks gets its even part of them, in order."""
        rows = self.row_numbers(row, count)[count * rank // ranks : count * (rank + 1) // ranks]
        tokens = np.empty((len(rows), self.context + 1), dtype=np.int32)
        mask = np.empty((len(rows), self.context), dtype=np.uint8)
        source = np.empty(len(rows), dtype=np.int32)
        for i, number in enumerate(rows.tolist()):
            block, position = self._block(number // self.block_rows), number % self.block_rows
            source[i] = block.source[position]
            packing = self._packing(block.stage, self.names[source[i]])
            tokens[i], mask[i] = packing.row(int(block.source_row[position]))
        return Batch(tokens=tokens, mask=mask, source=source, rows=rows)

    def explain(self, row: int) -> Reading:
        """Why row `row` is what it is: its block, stage, source, epoch and the documents it was made from."""
        number, position = divmod(row, self.block_rows)
        block = self._block(number)
        name, source_row = self.names[block.source[position]], int(block.source_row[position])
        packing = self._packing(block.stage, name)
        return Reading(
            row=row,
            block=number,
            skipped=number in self._schedule.skipped,
            stage=block.stage,
            source=name,
            manifest_hash=block.stage.sources[name],
            source_row=source_row,
            epoch=source_row // packing.rows_per_epoch,
            start_strength=packing.start_strength(source_row),
            spans=packing.explain(source_row),
        )

    def packing(self, name: str) -> Packing:
        """How the newest stage's manifest of a source is packed (rows an epoch, expected loss and overlap)."""
        return self._packing(self.stages[-1], name)

    def cursors(self, row: int) -> dict[tuple[str, str], int]:
        """Rows of each (source, manifest) handed out before the block of `row`, skipped ones included."""
        return self._schedule.cursors(row // self.block_rows)

    def _block(self, number: int) -> _Block:
        block, schedule = self._blocks.get(number), self._schedule
        if block is None:
            block = _arranged(schedule, number, self.seed)
            with self._lock:
                if schedule is self._schedule:  # else it may be out of date already
                    while len(self._blocks) >= NUM_CACHED_BLOCKS:
                        del self._blocks[next(iter(self._blocks))]
                    self._blocks[number] = block
        return block

    def _packing(self, stage: Stage, name: str) -> Packing:
        """The packing of a stage's manifest of a source, made when first needed."""
        key = (name, stage.sources[name])
        with self._opening:
            packing = self._packings.get(key)
            if packing is None:
                if key not in self._sources:
                    raise ShardError(
                        f"the stage at block {stage.start_block} reads source {name!r}, manifest {key[1]!r}: not open",
                        advice="prepare that version of the source again, or begin after that stage",
                    )
                packing = self._packings[key] = Packing(self._sources[key], context=self.context, seed=self.seed)
            return packing


def _check_present(stage: Stage, sources: Iterable[tuple[str, str]]) -> None:
    have = set(sources)
    for name, manifest in stage.read_sources.items():
        if (name, manifest) not in have:
            others = ", ".join(sorted(repr(m) for n, m in have if n == name)) or "none"
            raise SettingsError(
                f"the stage at block {stage.start_block} reads source {name!r}, manifest {manifest!r}: not open",
                advice=f"open manifests of this source: {others}",
            )


def _arranged(schedule: Schedule, number: int, seed: int) -> _Block:
    """A block's exact counts in an order keyed by the seed and the block, each source's rows in sequence."""
    stage = schedule.stages[schedule.stage_index(number)]
    counts, cursors = schedule.counts(number), schedule.cursors(number)
    order = permutation(schedule.block_rows, "block", seed, number)
    source = np.empty(schedule.block_rows, dtype=np.int32)
    source_row = np.empty(schedule.block_rows, dtype=np.int64)
    at = 0
    for name, count in counts.items():
        positions = np.sort(order[at : at + count])
        source[positions] = schedule.names.index(name)
        source_row[positions] = cursors[name, stage.sources[name]] + np.arange(count)
        at += count
    return _Block(stage, source, source_row)


class Prefetcher:
    """Batches of `count` rows from `row` on, made ahead by a thread: at most `depth` beyond what the consumer took.

    `row` is the data cursor: the first row of the next batch. An error of the thread is raised in its batch's place.
    """

    def __init__(self, stream: Stream, row: int, count: int, *, depth: int = 4, rank: int = 0, ranks: int = 1) -> None:
        if count < 1 or depth < 1:
            raise SettingsError(f"a batch of {count} rows, {depth} ahead", advice="both are at least 1")
        self.stream, self.row, self.count, self.depth = stream, row, count, depth
        self._rank, self._ranks = rank, ranks
        self._ready: queue.SimpleQueue[Batch | BaseException] = queue.SimpleQueue()
        self._permits = threading.Semaphore(depth)
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._read_ahead, args=(row,), name="coldframe-prefetch", daemon=True)
        self._thread.start()

    @property
    def highest_block(self) -> int:
        """The last block that may have been read ahead; a stage may begin after it.

        Follows from the cursor, not from how far the thread has come: every rank, and a repetition of the run, gets the
        same answer.
        """
        return (self.stream.next_row(self.row, self.count * self.depth) - 1) // self.stream.block_rows

    def append(self, stage: Stage, *, sources: Iterable[TokenSource] = ()) -> None:
        """Append a stage to the stream; SettingsError when it begins at or before `highest_block`."""
        self.stream.append(stage, first_free_block=self.highest_block + 1, sources=sources)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._failure is not None:
            raise self._failure
        if self._closing.is_set():
            raise RuntimeError("this prefetcher is closed")
        batch = self._ready.get()
        if isinstance(batch, BaseException):
            self._failure = batch
            raise batch
        self.row = self.stream.next_row(self.row, self.count)
        self._permits.release()
        return batch

    def close(self) -> None:
        """Stop the thread and wait for it. Batches that nobody took are dropped."""
        self._closing.set()
        self._permits.release()
        self._thread.join()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_ahead(self, row: int) -> None:
        try:
            while True:
                self._permits.acquire()
                if self._closing.is_set():
                    return
                self._ready.put(self.stream.batch(row, self.count, rank=self._rank, ranks=self._ranks))
                row = self.stream.next_row(row, self.count)
        except BaseException as error:  # noqa: BLE001 (the consumer raises it; it must not wait for ever)
            self._ready.put(error)
