"""Finished steps on their way to run.db and to the eye; values are fetched from the device some steps at a time."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from coldframe.errors import TrainingError
from coldframe.mixture.stream import Batch
from coldframe.run.record import Recorder, StepRow
from coldframe.train.state import TrainState
from coldframe.train.trainer import StepResult

FLUSH_SECONDS = 0.5
LINE_SECONDS = 2.0
SOURCE_LOSSES_EVERY = 25
_log = logging.getLogger("coldframe")


class StepLog:
    """Buffers step results; `flush` writes them."""

    def __init__(self, recorder: Recorder, num_steps: int) -> None:
        self.num_steps = num_steps
        self.train_loss = math.nan
        self.seconds: deque[float] = deque(maxlen=1_000_000)
        self._recorder = recorder
        self._pending: list[tuple[dict[str, float], StepResult, list[str]]] = []
        self._by_source: dict[str, list[float]] = {}
        self._last_flush = self._last_line = 0.0
        self._last_source_step = 0

    def add(
        self, result: StepResult, state: TrainState, batch: Batch, names: Sequence[str], seconds: float, tokens: int
    ) -> None:
        """Take a finished step of `seconds`, in which all ranks together read `tokens` tokens."""
        self.seconds.append(seconds)
        self._pending.append(
            (
                {
                    "step": state.step,
                    "num_tokens": state.num_tokens,
                    "next_row": state.next_row,
                    "seconds": seconds,
                    "tokens_per_second": tokens / seconds,
                },
                result,
                [names[source] for source in batch.source],
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
        rows = []
        for values, result, sources in pending:
            rows.append(self._row(values, result))
            self._add_sources(result, sources)
        if not rows:
            return
        self._recorder.steps(rows)
        if rows[-1].step - self._last_source_step >= SOURCE_LOSSES_EVERY:
            self._write_sources(rows[-1].step)
        self.train_loss = rows[-1].train_loss
        self._show(rows[-1])
        for row in rows:
            if not (math.isfinite(row.train_loss) and math.isfinite(row.grad_norm)):
                raise TrainingError(
                    f"step {row.step} is not finite (loss {row.train_loss}, gradient norm {row.grad_norm})",
                    advice="start the run again to go back to the last checkpoint; a lower plan.learning_rate helps",
                )

    def median_tokens_per_second(self, tokens: int) -> float | None:
        """Over the steps of this stretch, the first (which warms up) left out."""
        seconds = sorted(list(self.seconds)[1:] or self.seconds)
        return tokens / seconds[len(seconds) // 2] if seconds else None

    def _row(self, values: dict[str, float], result: StepResult) -> StepRow:
        names = list(result.grad_norms)
        numbers: list[Tensor] = [result.loss_sum, result.grad_norm, result.clip_scale]
        numbers += [result.grad_norms[name] for name in names] + [result.update_norms[name] for name in names]
        loss_sum, grad_norm, clip_scale, *norms = torch.stack([number.float() for number in numbers]).tolist()
        return StepRow(
            step=int(values["step"]),
            train_loss=loss_sum / result.num_targets,
            learning_rate=result.rates.learning_rate,
            grad_norm=grad_norm,
            clip_scale=clip_scale,
            num_tokens=int(values["num_tokens"]),
            next_row=int(values["next_row"]),
            seconds=values["seconds"],
            tokens_per_second=values["tokens_per_second"],
            grad_norms=dict(zip(names, norms[: len(names)], strict=True)),
            update_norms=dict(zip(names, norms[len(names) :], strict=True)),
        )

    def _add_sources(self, result: StepResult, sources: list[str]) -> None:
        losses, targets = result.row_losses.tolist(), result.row_targets.tolist()
        for source, loss, count in zip(sources, losses, targets, strict=True):
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
