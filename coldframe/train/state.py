"""What must survive a crash, in one place: everything else of a run follows from it and from run.toml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coldframe.errors import CheckpointError

VERSION = 1


@dataclass(slots=True, kw_only=True)
class TrainState:
    """A run's position. The weights and moments stand beside it, in files of their own.

    The stream keeps no state: `next_row` and the recorded stages say what is read next. Nothing in the loop draws
    random numbers (there is no dropout), so there is no generator to keep; samples are drawn from (seed, step).
    """

    step: int = 0
    """Optimizer steps done."""
    num_updates: int = 0
    """Updates applied; differs from `step` once a guard skips one."""
    next_row: int = 0
    """The data cursor: the first row of the next batch."""
    num_tokens: int = 0
    """Target tokens learned from."""
    train_seconds: float = 0.0
    """Time spent in steps."""
    energy_joules: float = 0.0
    """Energy used, where the hardware tells."""
    device_batch: int = 0
    """Rows of a micro-batch; halved when memory ran out."""
    best_bpb: float | None = None
    """The lowest bits per byte so far."""
    best_step: int | None = None
    """Where it was measured."""
    stages: list[dict[str, Any]] = field(default_factory=list)
    """The mixture's stages as they were decided."""
    version: int = VERSION

    def as_json(self) -> dict[str, Any]:
        """Plain values for state.json."""
        return dataclasses.asdict(self)


def state_from_json(values: Mapping[str, Any]) -> TrainState:
    """The state that a checkpoint holds.

    Raises:
        CheckpointError: when a newer coldframe wrote it.
    """
    if values.get("version") != VERSION:
        raise CheckpointError(
            f"the checkpoint has state version {values.get('version')!r}, this coldframe reads {VERSION}",
            advice="use the coldframe that wrote it",
        )
    return TrainState(**values)
