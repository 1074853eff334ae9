"""How a run stands, first in words and then in numbers: the head of its page, its row in the list, its events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coldframe.explore.sentence import State, words
from coldframe.explore.starts import Start
from coldframe.explore.trend import Trend, trend
from coldframe.run.schema import ALL_SOURCES
from coldframe.run.view import RunStatus, RunView

#: The trend and the speed are taken over at most this many of the newest steps.
RECENT_STEPS = 1000
#: What a step takes is the median over at most this many of them.
PACE_STEPS = 300
#: Between two heartbeats lie five seconds at most; where more lie, the machine slept or its clock was set.
MOST_BETWEEN_BEATS_SECONDS = 10.0
#: The metric of `evals` that is bits per byte.
BPB_METRIC = "bits_per_byte"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured number: its value, its 95% interval where one was measured, and when and on what."""

    value: float
    low: float | None
    high: float | None
    n: int | None
    step: int
    time: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the trainer's newest heartbeat says of the machine; None is "not measured"."""

    time: float
    pid: int
    host: str
    memory_bytes: int | None
    device_memory_bytes: int | None
    utilisation: float | None
    temperature: float | None
    power_watts: float | None
    energy_joules: float | None
    mfu: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run stands now."""

    name: str
    sentence: str
    state: State
    status: str
    message: str
    step: int
    num_steps: int
    segment: int
    last_seen: float | None
    alive: bool
    stale: bool
    loss: float | None
    loss_steps: int
    trend: Trend | None
    tokens_per_second: float | None
    seconds_left: float | None
    next_checkpoint_step: int | None
    next_checkpoint_seconds: float | None
    last_checkpoint_step: int | None
    val_bpb: Figure | None
    hardware: Hardware | None
    start: Start | None
    offers: tuple[str, ...]
    """Requests that make sense now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recent:
    """The newest steps, as far back as their segment reaches."""

    step: np.ndarray
    loss: np.ndarray
    seconds: np.ndarray
    speed: np.ndarray


def summarise(view: RunView, start: Start | None) -> Summary:
    """Read how a run stands; a few indexed reads, whatever the run's length."""
    status, plan, beat = view.status(), view.plan(), view.last("heartbeats")
    recent = _recent(view)
    step = max(status.step, int(recent.step[-1]) if len(recent.step) else 0)
    pace = _seconds_per_step(view, recent)
    every = find_setting(plan, "checkpoint_every")
    next_step = (
        min((step // every + 1) * every, status.num_steps or step + every)
        if isinstance(every, int) and every > 0
        else None
    )
    if next_step is not None and next_step <= step:
        next_step = None
    training = status.status == "training" and not status.stale
    loss, loss_steps = _smoothed(recent.loss)
    parts: dict[str, Any] = {
        "name": view.folder.name,
        "status": status.status,
        "message": status.message,
        "step": step,
        "num_steps": status.num_steps,
        "segment": status.segment,
        "last_seen": status.time,
        "alive": status.holder is not None,
        "stale": status.stale,
        "loss": loss,
        "loss_steps": loss_steps,
        "trend": trend(recent.step, recent.loss),
        "tokens_per_second": float(np.nanmedian(recent.speed[-100:]))
        if np.isfinite(recent.speed[-100:]).any()
        else None,
        "seconds_left": pace * (status.num_steps - step) if pace and training and status.num_steps > step else None,
        "next_checkpoint_step": next_step,
        "next_checkpoint_seconds": pace * (next_step - step) if pace and training and next_step else None,
        "last_checkpoint_step": _last_checkpoint(view),
        "val_bpb": val_bpb(view),
        "hardware": Hardware(**{name: beat[name] for name in Hardware.__dataclass_fields__}) if beat else None,
        "start": start,
        "offers": offers(status, start),
    }
    state, sentence = words(parts, time.time())
    return Summary(state=state, sentence=sentence, **parts)


def unreadable(name: str, error: Exception) -> Summary:
    """What can be said of a run whose files are damaged: that, and how."""
    nothing: dict[str, Any] = dict.fromkeys(Summary.__dataclass_fields__)
    numbers = {"step": 0, "num_steps": 0, "segment": 0, "loss_steps": 0}
    known = {"name": name, "state": "critical", "status": "failed", "message": str(error), "alive": False, "offers": ()}
    sentence = f"Cannot be read: {error}. Restore its files from a copy, or move the run aside."
    return Summary(**{**nothing, **numbers, **known, "stale": False, "sentence": sentence})


def offers(status: RunStatus, start: Start | None) -> tuple[str, ...]:
    """The requests that make sense for a run as it stands."""
    if start is not None and start.state == "starting":
        return ()
    if status.holder is None:
        return () if status.status == "done" else ("resume",)
    if status.status == "paused":
        return ("resume", "stop")
    return ("pause", "checkpoint", "stop")


def val_bpb(view: RunView) -> Figure | None:
    """The newest bits per byte over all held-out sources together, or None while it was not measured."""
    rows = view.query(
        "SELECT value, low, high, n, step, time, source FROM evals"
        " WHERE metric = ? AND source = ? AND value IS NOT NULL ORDER BY id DESC LIMIT 1",
        (BPB_METRIC, ALL_SOURCES),
    )
    return Figure(**dict(rows[0])) if rows else None


def find_setting(plan: Mapping[str, Any], name: str) -> Any:
    """A setting of the resolved plan, whichever of its tables holds it; the outermost wins, None when there is none."""
    if name in plan:
        return plan[name]
    inner = [value for key, value in plan.items() if isinstance(value, dict) and key != "reasons"]
    for table in inner:
        if name in table:
            return table[name]
    for table in inner:
        found = find_setting(table, name)
        if found is not None:
            return found
    return None


def _recent(view: RunView) -> _Recent:
    rows = view.query(
        "SELECT step, train_loss, seconds, tokens_per_second FROM steps WHERE id > (SELECT MAX(id) FROM steps) - ?"
        # A step that had nothing to learn from has no loss, and a gradient of 0.
        " AND (train_loss IS NOT NULL OR grad_norm IS NULL OR grad_norm != 0)"
        " AND segment = (SELECT segment FROM steps ORDER BY id DESC LIMIT 1) ORDER BY id",
        (RECENT_STEPS,),
    )
    table = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 4)
    return _Recent(step=table[:, 0], loss=table[:, 1], seconds=table[:, 2], speed=table[:, 3])


def _smoothed(loss: np.ndarray) -> tuple[float | None, int]:
    """The mean of the newest losses, and over how many; None when the newest is not a number."""
    newest = loss[-50:]
    if not len(newest) or not np.isfinite(newest[-1]):
        return None, len(newest)
    return float(np.nanmean(newest)), len(newest)


def _seconds_per_step(view: RunView, recent: _Recent) -> float | None:
    """What a step takes, with its part of the measuring and saving between steps; None before ten steps.

    The wall clock may be set, and runs on while the machine sleeps, so the steps' own durations are what counts.
    """
    if len(recent.seconds) < 10:
        return None
    pace = float(np.median(recent.seconds[-PACE_STEPS:])) + _seconds_between_steps(view)
    return pace if pace > 0 else None


def _seconds_between_steps(view: RunView) -> float:
    """What evaluations, samples and checkpoints took lately, for each step; as the heartbeats tell it."""
    rows = view.query(
        "SELECT step, time, status IN ('evaluating', 'sampling', 'checkpointing') FROM heartbeats"
        " WHERE id > (SELECT MAX(id) FROM heartbeats) - ?"
        " AND segment = (SELECT segment FROM heartbeats ORDER BY id DESC LIMIT 1) ORDER BY id",
        (RECENT_STEPS,),
    )
    beats = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 3)
    steps = beats[-1, 0] - beats[0, 0] if len(beats) else 0.0
    apart = np.clip(np.diff(beats[:, 1]), 0.0, MOST_BETWEEN_BEATS_SECONDS)
    return float((apart * beats[:-1, 2]).sum() / steps) if steps > 0 else 0.0


def _last_checkpoint(view: RunView) -> int | None:
    rows = view.query("SELECT step FROM checkpoints WHERE contains = 'whole' ORDER BY id DESC LIMIT 1")
    return int(rows[0][0]) if rows else None
