"""Finished steps on their way to run.db and to the eye; values are fetched from the device some steps at a time."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from coldframe.errors import TrainingError
from coldframe.run.record import Recorder, StepRow
from coldframe.train.state import TrainState
from coldframe.train.trainer import StepResult

FLUSH_SECONDS = 0.5
LINE_SECONDS = 2.0
SOURCE_LOSSES_EVERY = 25
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A finished step whose values may still be on the device."""

    step: int
    num_tokens: int
    next_row: int
    began: float
    ended: float
    result: StepResult
    sources: Sequence[str]


class StepLog:
    """Buffers steps of `batch_tokens` tokens; `flush` writes them.

    A GPU runs behind: how long a step took is known only once its values are fetched, so there the time between two
    flushes is divided evenly over the steps between them.
    """

    def __init__(self, recorder: Recorder, num_steps: int, *, batch_tokens: int, runs_behind: bool) -> None:
        self.num_steps = num_steps
        self.train_loss = math.nan
        self.seconds: deque[float] = deque(maxlen=1_000_000)
        self._batch_tokens, self._runs_behind = batch_tokens, runs_behind
        self._recorder = recorder
        self._pending: list[_Step] = []
        self._by_source: dict[str, list[float]] = {}
        self._last_flush = self._last_line = 0.0
        self._last_source_step = self._last_step = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Of the newest step that was written; None before the first."""
        return self._batch_tokens / self.seconds[-1] if self.seconds else None

    def add(self, result: StepResult, state: TrainState, names: Sequence[str], began: float) -> None:
        """Take a step that began then (perf_counter) and ended now."""
        self._pending.append(
            _Step(
                step=state.step,
                num_tokens=state.num_tokens,
                next_row=state.next_row,
                began=began,
                ended=time.perf_counter(),
                result=result,
                sources=names,
            )
        )
        if time.monotonic() - self._last_flush >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Fetch, check and write what is pending.

        Raises:
            TrainingError: when a loss or gradient norm was not finite.
        """
        self._last_flush = time.monotonic()
        pending, self._pending = self._pending, []
        if not pending:
            return
        values = [_fetched(step.result) for step in pending]
        even = (time.perf_counter() - pending[0].began) / len(pending) if self._runs_behind else None
        rows = []
        untargeted = {step.step for step in pending if not step.result.num_targets}  # nothing to learn from, so no loss
        for step, fetched in zip(pending, values, strict=True):
            seconds = even or step.ended - step.began
            self.seconds.append(seconds)
            rows.append(self._row(step, fetched, seconds))
            self._add_sources(step.result, step.sources)
        self._recorder.steps(rows)
        self._last_step = rows[-1].step
        if rows[-1].step - self._last_source_step >= SOURCE_LOSSES_EVERY:
            self._write_sources(rows[-1].step)
        self.train_loss = rows[-1].train_loss
        self._show(rows[-1])
        for row in rows:
            if not (math.isfinite(row.train_loss) and math.isfinite(row.grad_norm)) and row.step not in untargeted:
                raise TrainingError(
                    f"step {row.step} is not finite (loss {row.train_loss}, gradient norm {row.grad_norm})",
                    advice="start the run again to go back to the last checkpoint; a lower plan.learning_rate helps",
                )

    def finish(self) -> None:
        """Write what is pending, and the losses by source that have gathered since the last of them."""
        self.flush()
        if self._by_source:
            self._write_sources(self._last_step)

    def median_tokens_per_second(self) -> float | None:
        """Over the steps of this stretch, the first (which warms up) left out."""
        seconds = sorted(list(self.seconds)[1:] or self.seconds)
        return self._batch_tokens / seconds[len(seconds) // 2] if seconds else None

    def _row(self, step: _Step, fetched: list[float], seconds: float) -> StepRow:
        result, names = step.result, list(step.result.grad_norms)
        loss_sum, grad_norm, clip_scale, *norms = fetched
        return StepRow(
            step=step.step,
            train_loss=loss_sum / result.num_targets if result.num_targets else math.nan,
            learning_rate=result.rates.learning_rate,
            grad_norm=grad_norm,
            clip_scale=clip_scale,
            num_tokens=step.num_tokens,
            next_row=step.next_row,
            seconds=seconds,
            tokens_per_second=self._batch_tokens / seconds,
            grad_norms=dict(zip(names, norms[: len(names)], strict=True)),
            update_norms=dict(zip(names, norms[len(names) :], strict=True)),
        )

    def _add_sources(self, result: StepResult, sources: Sequence[str]) -> None:
        for source, (loss, count) in zip(sources, result.by_source.tolist(), strict=True):
            if count or source in self._by_source:
                entry = self._by_source.setdefault(source, [0.0, 0.0])
                entry[0] += loss
                entry[1] += count

    def _write_sources(self, step: int) -> None:
        self._last_source_step = step
        self._recorder.source_losses(
            {name: (loss / count if count else None, int(count)) for name, (loss, count) in self._by_source.items()}
        )
        self._by_source = {}

    def _show(self, row: StepRow) -> None:
        now = time.monotonic()
        if now - self._last_line < LINE_SECONDS and row.step < self.num_steps:
            return
        self._last_line = now
        left = (self.num_steps - row.step) * row.seconds
        _log.info(
            "step %6d/%d  loss %.4f  gradient %6.3f  rate %.3f  %7.0f tokens/s  %s left",
            row.step,
            self.num_steps,
            row.train_loss,
            row.grad_norm,
            row.learning_rate,
            row.tokens_per_second,
            duration(left),
        )


def duration(seconds: float) -> str:
    """Seconds for people: 45 s, 12 min, 3.4 h, 2.1 days."""
    for size, unit in ((86400.0, "days"), (3600.0, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _fetched(result: StepResult) -> list[float]:
    """Loss sum, gradient norm, clip scale, then each group's gradient norm, then each group's update norm."""
    numbers = [result.loss_sum, result.grad_norm, result.clip_scale, *result.grad_norms.values()]
    numbers += [result.update_norms[name] for name in result.grad_norms]
    fetched: list[float] = torch.stack([number.float() for number in numbers]).tolist()
    return fetched
