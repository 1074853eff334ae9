"""Schedules: fractions of the horizon, so that a short and a long run have the same shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.model.schedule import Schedule


def schedule(num_steps: int, **changed: float) -> Schedule:
    """The usual fractions."""
    fractions = {
        "warm_up": 0.02, "warm_down": 0.65, "final": 0.05, "momentum_start": 0.85, "momentum": 0.95,
        "momentum_end": 0.9, "momentum_warm_up": 0.3,
    }  # fmt: skip
    return Schedule(num_steps=num_steps, **fractions | changed)


def test_the_shape_of_a_thousand_steps() -> None:
    """Linear up over 20 steps, flat, linear down over the last 650 to a twentieth."""
    rates = [schedule(1000).at(step).learning_rate for step in range(1000)]
    assert rates[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert rates[20:351] == [1.0] * 331
    assert rates[675] == pytest.approx(0.05 + 0.95 * 0.5)
    assert rates[-1] == pytest.approx(0.05 + 0.95 / 650)
    assert [schedule(1000).at(step).momentum for step in (0, 300, 1000)] == pytest.approx([0.85, 0.95, 0.9])
    assert [schedule(1000).at(step).weight_decay for step in (0, 500, 1000)] == pytest.approx([1.0, 0.5, 0.0])


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1))
def test_any_horizon_and_fractions(num_steps: int, warm_up: float, warm_down: float) -> None:
    """Never zero or negative before the end, never above the peak; a run of one step learns."""
    made = schedule(num_steps, warm_up=warm_up, warm_down=warm_down)
    for step in {0, num_steps // 3, num_steps // 2, num_steps - 1}:
        found = made.at(step)
        assert 0 < found.learning_rate <= 1
        assert 0.85 <= found.momentum <= 0.95
        assert 0 <= found.weight_decay <= 1


@given(st.integers(10, 400), st.integers(0, 9))
def test_a_longer_run_has_the_same_shape(num_steps: int, tenth: int) -> None:
    """At the same fraction of ten times the horizon, the same rates once warm."""
    short, long = schedule(num_steps * 10), schedule(num_steps * 100)
    step = tenth * num_steps
    if tenth:
        assert short.at(step) == long.at(10 * step)


def test_beyond_the_horizon() -> None:
    """A step past the end (there is none, but a chart may ask) stays at the final rate."""
    assert schedule(10).at(15).learning_rate == pytest.approx(0.05)
