"""How rates move over a run: functions of the fraction of the horizon, so that all runs have the same shape."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Fractions of the horizon, and where momentum begins and ends."""

    num_steps: int
    warm_up: float
    warm_down: float
    final: float
    momentum_start: float
    momentum: float
    momentum_end: float
    momentum_warm_up: float

    def at(self, step: int) -> StepRates:
        """The multipliers of the step that follows `step` finished ones."""
        progress = step / self.num_steps
        return StepRates(
            learning_rate=self._learning_rate(step, progress),
            momentum=self._momentum(progress),
            weight_decay=0.5 * (1 + math.cos(math.pi * min(progress, 1.0))),
        )

    def _learning_rate(self, step: int, progress: float) -> float:
        """Linear up over the warm-up, flat, linear down over the warm-down to `final`."""
        warm_up_steps = max(1, round(self.warm_up * self.num_steps))
        up = min(1.0, (step + 1) / warm_up_steps)
        down = min(1.0, (1.0 - progress) / self.warm_down) if self.warm_down > 0 else 1.0
        return min(up, self.final + (1.0 - self.final) * max(down, 0.0))

    def _momentum(self, progress: float) -> float:
        """Rises while the gradients still turn quickly, falls again while the rate does."""
        rising = min(1.0, progress / self.momentum_warm_up) if self.momentum_warm_up > 0 else 1.0
        value = self.momentum_start + (self.momentum - self.momentum_start) * rising
        falling = max(0.0, (progress - (1.0 - self.warm_down)) / self.warm_down) if self.warm_down > 0 else 0.0
        return value + (min(self.momentum_end, value) - value) * min(falling, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRates:
    """Multipliers of one step."""

    learning_rate: float
    momentum: float
    weight_decay: float
