"""Where the loss is going: a slope that is only named when it stands out from its own noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Fewer steps than this say nothing about a direction.
MIN_STEPS = 20
#: A slope is named when it is this many times its standard error.
SIGNIFICANT = 3.0
#: The steepest rise that is told, as a logarithm: a loss that explodes has no slope worth more digits.
_STEEPEST = 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The relative slope of the loss over its latest steps."""

    num_steps: int
    """How many steps it was measured over."""
    percent_per_1000_steps: float | None
    """Negative when the loss falls; None when no slope stands out from the noise."""


def trend(step: np.ndarray, loss: np.ndarray) -> Trend | None:
    """Least squares on log loss; None with fewer than `MIN_STEPS` finite positive losses.

    The standard error is widened by the residuals' lag-1 autocorrelation r, as (1 + r) / (1 - r) in variance
    (effective sample size of an AR(1) series), since losses of neighbouring steps are not independent.
    """
    fine = np.isfinite(loss) & (loss > 0)
    x, y = step[fine].astype(np.float64), np.log(loss[fine])
    if len(x) < MIN_STEPS or x[-1] == x[0]:
        return None
    x = x - x.mean()
    spread = float(np.sum(x * x))
    slope = float(np.sum(x * y) / spread)
    residual = y - y.mean() - slope * x
    variance = float(np.sum(residual**2)) / (len(x) - 2)
    denominator = float(np.sum(residual**2))
    r = float(np.sum(residual[1:] * residual[:-1])) / denominator if denominator > 0 else 0.0
    r = min(max(r, 0.0), 0.95)
    error = (variance / spread * (1 + r) / (1 - r)) ** 0.5
    clear = abs(slope) > SIGNIFICANT * error and slope != 0
    return Trend(
        num_steps=int(step[-1] - step[0]) + 1,
        percent_per_1000_steps=100 * float(np.expm1(min(1000 * slope, _STEEPEST))) if clear else None,
    )
