"""The answer before the evidence: one sentence about a run, for every way in which it can stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from coldframe.explore.starts import Start
from coldframe.explore.trend import Trend
from coldframe.explore.wording import count, duration

if TYPE_CHECKING:
    from coldframe.explore.summary import Figure

State = Literal["well", "watch", "critical", "idle"]
_BUSY = {
    "preparing": "Preparing text and model",
    "evaluating": "Evaluating",
    "sampling": "Writing samples",
    "checkpointing": "Writing a checkpoint",
}
_ENDED = {"stopped": "Stopped", "done": "Done", "failed": "Failed", "halted": "Halted by a gate"}


def words(parts: Mapping[str, Any], now: float) -> tuple[State, str]:
    """State and sentence from the parts of a summary that are known by name."""
    start: Start | None = parts["start"]
    status, step = parts["status"], parts["step"]
    if start is not None and start.state == "starting":
        return "idle", f"Starting a trainer (process {start.pid}, {duration(now - start.since)} ago)."
    if start is not None and start.state == "failed" and not parts["alive"]:
        return "critical", f"The trainer that was started could not go on: {_clause(start.detail)}."
    if status == "planned":
        return "idle", f"Planned, not started: coldframe train --run {parts['name']}."
    if status == "dead":
        return "critical", _dead_words(parts, now)
    if parts["stale"]:
        silent = duration(now - parts["last_seen"])
        return (
            "watch",
            f"No sign of life for {silent}, though a trainer still holds this run. {_progress(parts)}".strip(),
        )
    if status in _ENDED:
        return _ended_words(parts)
    if status == "paused":
        return "idle", f"Paused at step {count(step)}; the device is free. {_progress(parts)}".strip()
    head = _BUSY[status] if status in _BUSY else "Training"
    if parts["message"] and status in _BUSY:
        head += f": {_clause(parts['message'])}"
    return _training_words(parts, head)


def _training_words(parts: Mapping[str, Any], head: str) -> tuple[State, str]:
    slope: Trend | None = parts["trend"]
    state: State = "watch" if slope and (slope.percent_per_1000_steps or 0) > 0 else "well"
    if parts["loss"] is None and parts["loss_steps"]:
        return "critical", f"{head}, but the newest loss is not a number. {_progress(parts)}".strip()
    if parts["loss"] is None:
        return "well", f"{head}. No step is finished yet."
    return state, f"{head}. {_progress(parts)}"


def _progress(parts: Mapping[str, Any]) -> str:
    """Loss, speed and what comes next, as far as each is known."""
    words = []
    if parts["loss"] is not None:
        words.append(f"Loss {parts['loss']:.2f}{_direction(parts['trend'])}")
    if parts["tokens_per_second"] is not None and parts["status"] in ("training", *_BUSY):
        words.append(f"{count(parts['tokens_per_second'])} tokens/s")
    if parts["next_checkpoint_seconds"] is not None:
        words.append(f"next checkpoint in about {duration(parts['next_checkpoint_seconds'])}")
    if parts["seconds_left"] is not None:
        words.append(f"about {duration(parts['seconds_left'])} left")
    return "; ".join(words) + "." if words else ""


def _direction(slope: Trend | None) -> str:
    if slope is None:
        return ""
    percent = slope.percent_per_1000_steps
    if percent is None:
        return f", level within its noise over {count(slope.num_steps)} steps"
    verb = "falling" if percent < 0 else "rising"
    if slope.num_steps < 300:  # a rate per 1,000 steps would be read as a promise
        over = 100 * abs((1 + percent / 100) ** (slope.num_steps / 1000) - 1)
        return f", {verb} ({over:.1f}% over the last {count(slope.num_steps)} steps)"
    return f", {verb} {abs(percent):.2g}% per 1,000 steps"


def _dead_words(parts: Mapping[str, Any], now: float) -> str:
    ago = f", {duration(now - parts['last_seen'])} ago" if parts["last_seen"] else ""
    kept = parts["last_checkpoint_step"]
    rest = (
        f"Resume goes on from the checkpoint of step {count(kept)}."
        if kept is not None
        else "It left no checkpoint; resume begins anew."
    )
    return f"The trainer died at step {count(parts['step'])}{ago} without a word. {rest}"


def _ended_words(parts: Mapping[str, Any]) -> tuple[State, str]:
    status = parts["status"]
    why = f": {_clause(parts['message'])}" if parts["message"] and status in ("failed", "halted") else ""
    states: dict[str, State] = {"stopped": "idle", "done": "well", "failed": "critical", "halted": "critical"}
    of = f" of {count(parts['num_steps'])}" if parts["num_steps"] else ""
    scored: Figure | None = parts["val_bpb"]
    figures = [f"loss {parts['loss']:.2f}"] if parts["loss"] is not None else []
    figures += [f"{scored.value:.3f} bits per byte on held-out text"] if scored else []
    tail = f" Last: {', '.join(figures)}." if figures else ""
    return states[status], f"{_ENDED[status]} at step {count(parts['step'])}{of}{why}.{tail}"


def _clause(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:300]
