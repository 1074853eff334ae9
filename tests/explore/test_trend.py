"""A slope is named when it stands out from its noise, and only then."""

from __future__ import annotations

import numpy as np
import pytest

from coldframe.explore.trend import trend


def test_a_clear_fall_is_measured_in_percent_per_1000_steps() -> None:
    step = np.arange(1, 1001)
    loss = 3 * 0.9 ** (step / 1000) * np.exp(np.random.default_rng(0).normal(0, 0.01, 1000))
    found = trend(step, loss)
    assert found is not None and found.num_steps == 1000
    assert found.percent_per_1000_steps == pytest.approx(-10, abs=0.5)


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_no_slope_even_when_neighbours_are_alike(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.05, 400)
    for at in range(1, 400):
        noise[at] += 0.7 * noise[at - 1]
    found = trend(np.arange(400), np.exp(1 + noise))
    assert found is not None and (found.percent_per_1000_steps is None or abs(found.percent_per_1000_steps) < 60)


def test_few_or_broken_losses_say_nothing() -> None:
    assert trend(np.arange(5), np.ones(5)) is None
    assert trend(np.arange(50), np.full(50, np.nan)) is None
    found = trend(np.arange(50), np.ones(50))
    assert found is not None and found.percent_per_1000_steps is None
