"""What is read when: an append-only list of stages over numbered blocks, as pure arithmetic.

A block is a fixed number of rows. The stage that governs block b is the last one that starts at or before it. How many
rows of each source a block holds depends on (stages, b) alone; so does, by summing, the cursor: how many rows of a
source stand before b. Shares are turned into whole numbers once (units of 2**-40); everything after that is integer
arithmetic, exact on every machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from coldframe.errors import SettingsError, did_you_mean

By = Literal["plan", "bandit", "user", "guard"]

WHOLE_BITS = 40
"""A share of 1 is 2**40 units; a share below half a unit is never read."""
MAX_BLOCK_ROWS = 1 << 20
SHARE_TOLERANCE = 1e-6
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio: multiples of it spread most evenly (Knuth, TAOCP 3, section 6.4)."""
CHUNK = 1024
"""Blocks between two remembered sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """From `start_block` on, this share of the rows comes from each source, read from this manifest of it.

    Raises SettingsError for shares that are negative or do not sum to 1 (within 1e-6; they are normalised where they
    are used, so that a stage keeps the numbers it was written with), a share without a manifest, or a skipped block
    before the stage.
    """

    start_block: int
    shares: dict[str, float]
    sources: dict[str, str]
    """Source name -> manifest hash. A source without a share, or with a share of 0, is never read."""
    skip_blocks: tuple[int, ...] = ()
    """Blocks that are never read, whatever later stages say; what stands in them is passed over, not moved on."""
    by: By
    why: str

    def __post_init__(self) -> None:
        where = f"the stage at block {self.start_block}"
        if self.start_block < 0:
            raise SettingsError(f"{where} starts before the first block", advice="blocks are counted from 0")
        if self.by not in get_args(By):
            raise SettingsError(f"{where} is by {self.by!r}", advice=did_you_mean(self.by, get_args(By)))
        for name, share in self.shares.items():
            if not 0 <= share <= 1 + SHARE_TOLERANCE:  # also refuses NaN
                raise SettingsError(
                    f"{where} gives source {name!r} a share of {share}", advice="use a share from 0 to 1"
                )
            if name not in self.sources:
                message = f"{where} gives a share to unknown source {name!r}"
                raise SettingsError(message, advice=did_you_mean(name, self.sources))
        total = sum(self.shares.values())
        if abs(total - 1) > SHARE_TOLERANCE:
            raise SettingsError(f"the shares of {where} sum to {total:.6g}", advice="make them sum to 1")
        if any(block < self.start_block for block in self.skip_blocks):
            raise SettingsError(
                f"{where} skips block {min(self.skip_blocks)}, which comes before it",
                advice="a stage changes only what comes after its start",
            )

    @property
    def read_sources(self) -> dict[str, str]:
        """The sources that this stage can read, with their manifests, in the order of their names."""
        return {name: self.sources[name] for name in sorted(self.shares) if self.shares[name] > 0}

    def as_json(self) -> dict[str, Any]:
        """An object for JSON; `stage_from_json` gives the same stage back."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"skip_blocks": list(self.skip_blocks)}


def stage_from_json(record: Mapping[str, Any]) -> Stage:
    """The stage that `as_json` wrote. Raises SettingsError for missing, unknown or nonsensical fields."""
    known = [f.name for f in fields(Stage)]
    for name in record:
        if name not in known:
            raise SettingsError(f"a stage has no field {name!r}", advice=did_you_mean(name, known))
    try:
        return Stage(
            start_block=int(record["start_block"]),
            shares={str(name): float(share) for name, share in record["shares"].items()},
            sources={str(name): str(manifest) for name, manifest in record["sources"].items()},
            skip_blocks=tuple(int(block) for block in record.get("skip_blocks", ())),
            by=record["by"],
            why=str(record["why"]),
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        message = f"a recorded stage cannot be read: {error!r}"
        raise SettingsError(message, advice=f"a stage has the fields {', '.join(known)}") from error


def append(stages: Sequence[Stage], stage: Stage, *, first_free_block: int) -> tuple[Stage, ...]:
    """The stages with one more; refused when it would change a block that was read ahead: before `first_free_block`."""
    if stage.start_block < first_free_block:
        raise SettingsError(
            f"a stage cannot start at block {stage.start_block}: blocks before {first_free_block} have been read",
            advice=f"let it start at block {first_free_block} or later",
        )
    return checked((*stages, stage))


def checked(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages, refused unless the first starts at block 0 and each later one after the one before it."""
    if not stages:
        raise SettingsError("the mixture has no stages", advice="give it one that starts at block 0")
    if stages[0].start_block != 0:
        message = f"the first stage starts at block {stages[0].start_block}"
        raise SettingsError(message, advice="let it start at block 0")
    for before, stage in pairwise(stages):
        if stage.start_block <= before.start_block:
            raise SettingsError(
                f"a stage starts at block {stage.start_block}, the one before it at block {before.start_block}",
                advice="each stage starts at a later block than the one before it",
            )
    return tuple(stages)


def block_counts(stage: Stage, blocks: npt.NDArray[np.int64], *, block_rows: int) -> npt.NDArray[np.int64]:
    """Rows of each of `stage.read_sources` in each block [num_blocks, num_sources], as if this stage governed them all.

    Systematic sampling: position q of block b belongs to the source whose part of [0, 1) holds (q + u_b) / block_rows,
    u_b the golden-ratio sequence. So a count is the share times block_rows, rounded down or up; a block's counts sum to
    block_rows; and sums over blocks stay within a few rows of the share.
    """
    shares = [stage.shares[name] for name in stage.read_sources]
    cumulative = list(accumulate(shares))
    parts = np.array([0] + [round(c / cumulative[-1] * (1 << WHOLE_BITS)) for c in cumulative], dtype=np.int64)
    # From 1 on: at a shift of 0 the rounding of the parts would decide whether a whole number of rows is rounded up.
    shift = ((blocks + 1).astype(np.uint64) * GOLDEN >> np.uint64(64 - WHOLE_BITS)).astype(np.int64)
    # Positions q with q * 2**40 + shift < part * block_rows: that quotient, rounded up.
    below = -((shift[:, None] - parts * block_rows) >> WHOLE_BITS)
    counts: npt.NDArray[np.int64] = np.diff(below, axis=1)
    return counts


class Schedule:
    """The stages of a run as a function from a block to what is in it. Never changes: `appended` gives a new one.

    Raises SettingsError when the stages are not in order, or the block is empty or huge.
    """

    def __init__(self, stages: Sequence[Stage], *, block_rows: int) -> None:
        if not 1 <= block_rows <= MAX_BLOCK_ROWS:
            raise SettingsError(f"a block of {block_rows} rows", advice=f"a block has 1 to {MAX_BLOCK_ROWS} rows")
        self.stages, self.block_rows = checked(stages), block_rows
        self.skipped = frozenset(block for stage in self.stages for block in stage.skip_blocks)
        self.names = tuple(dict.fromkeys(name for stage in self.stages for name in sorted(stage.sources)))
        """Every source of any stage, by first appearance: appending a stage never renumbers one."""
        self._starts = [stage.start_block for stage in self.stages]
        # Sums that were needed once: per stage, its counts over its first CHUNK * i blocks; and the cursors at each
        # stage's start. Filled from 0 on without gaps; an entry never changes, so threads may fill them at once.
        self._sums = [{0: np.zeros(len(stage.read_sources), dtype=np.int64)} for stage in self.stages]
        self._at_start: dict[int, dict[tuple[str, str], int]] = {0: {}}

    def appended(self, stage: Stage, *, first_free_block: int) -> Schedule:
        """The schedule with one more stage, as `append`."""
        longer = Schedule(append(self.stages, stage, first_free_block=first_free_block), block_rows=self.block_rows)
        longer._sums[: len(self._sums)] = self._sums
        longer._at_start.update(self._at_start)
        return longer

    def stage_index(self, block: int) -> int:
        """Which stage governs a block."""
        return bisect_right(self._starts, block) - 1

    def counts(self, block: int) -> dict[str, int]:
        """Rows of each readable source in a block; they sum to `block_rows`."""
        stage = self.stages[self.stage_index(block)]
        counts = block_counts(stage, np.array([block]), block_rows=self.block_rows)[0]
        return dict(zip(stage.read_sources, counts.tolist(), strict=True))

    def cursors(self, block: int) -> dict[tuple[str, str], int]:
        """Rows of each (source, manifest) that stand before a block, those of skipped blocks included."""
        current = self.stage_index(block)
        for index in range(min(len(self._at_start) - 1, current), current):
            self._at_start[index + 1] = self._advanced(index, self._starts[index + 1])
        return self._advanced(current, block)

    def _advanced(self, index: int, stop: int) -> dict[tuple[str, str], int]:
        """The cursors at block `stop` of a stage, from those at its start."""
        cursors = dict(self._at_start[index])
        summed = self._summed(index, stop).tolist()
        for source, count in zip(self.stages[index].read_sources.items(), summed, strict=True):
            cursors[source] = cursors.get(source, 0) + count
        return cursors

    def _summed(self, index: int, stop: int) -> npt.NDArray[np.int64]:
        """Counts of a stage summed from its start to block `stop` (exclusive) [num_sources]."""
        stage, sums = self.stages[index], self._sums[index]
        chunk, rest = divmod(stop - stage.start_block, CHUNK)
        for c in range(min(len(sums) - 1, chunk), chunk):
            blocks = np.arange(stage.start_block + c * CHUNK, stage.start_block + (c + 1) * CHUNK)
            sums[c + 1] = sums[c] + block_counts(stage, blocks, block_rows=self.block_rows).sum(axis=0)
        blocks = np.arange(stop - rest, stop)
        total: npt.NDArray[np.int64] = sums[chunk] + block_counts(stage, blocks, block_rows=self.block_rows).sum(axis=0)
        return total
