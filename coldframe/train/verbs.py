"""What `coldframe train`, `plan` and the verbs that steer a run do."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tyro.conf import Positional

from coldframe.errors import LockError, RequestError, ResumeError, SettingsError
from coldframe.hardware import assumed_card, detect
from coldframe.plan import make_plan, what_would_fit
from coldframe.run import requests
from coldframe.run.lock import TrainerLock, holder
from coldframe.run.paths import RunFolder, find_run, run_folder
from coldframe.run.record import Recorder
from coldframe.run.requests import Request
from coldframe.run.starting import already_done, spawn_trainer
from coldframe.run.view import RunView
from coldframe.settings import Given, Settings, load_settings
from coldframe.train.opening import with_vocabulary
from coldframe.train.runfile import extended, read_run_file, save_run_file
from coldframe.train.session import Progress, as_json, train

_POLL_SECONDS = 0.05
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainVerb:
    """Start a run, or resume it where it was."""

    run: str
    """The run's name."""
    depth: int | None = None
    """The one dial: layers of the model."""
    recipe: Path | None = None
    """A recipe (TOML)."""
    steps: int | None = None
    """The schedule's whole horizon in steps."""
    stop_at: int | None = None
    """Stop at this step without changing the schedule."""
    explore: bool = False
    """Serve the explorer beside the training."""
    device: Literal["auto", "cpu", "cuda"] | None = None
    """Where to train."""
    memory: str | None = None
    """Memory to stay within, such as 8GB."""
    seed: int | None = None
    """Decides the first weights and the order of reading."""
    set: tuple[str, ...] = ()
    """Any setting, as section.key=value."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    json: bool = False
    """End with one line of JSON on standard output."""
    quiet: bool = False
    """Only warnings and errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanVerb:
    """Show what would happen, why, and whether it fits."""

    depth: int | None = None
    """The one dial: layers of the model."""
    recipe: Path | None = None
    """A recipe (TOML)."""
    steps: int | None = None
    """The schedule's whole horizon in steps."""
    device: Literal["auto", "cpu", "cuda"] | None = None
    """Where it would train."""
    memory: str | None = None
    """Memory to stay within, such as 8GB."""
    seed: int | None = None
    """Decides the first weights and the order of reading."""
    set: tuple[str, ...] = ()
    """Any setting, as section.key=value."""
    json: bool = False
    """End with one line of JSON on standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerVerb:
    """Ask something of a run, and wait for what becomes of it."""

    run: Positional[str]
    """The run's name."""
    why: str = ""
    """The reason, kept with the outcome."""
    wait: float = 60.0
    """Seconds to wait for the outcome."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    json: bool = False
    """End with one line of JSON on standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendVerb:
    """Lengthen a finished or running schedule."""

    run: Positional[str]
    """The run's name."""
    steps: int
    """The new whole horizon in steps."""
    why: str = ""
    """The reason, kept with the outcome."""
    wait: float = 60.0
    """Seconds to wait for the outcome."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    json: bool = False
    """End with one line of JSON on standard output."""


def train_run(verb: TrainVerb, progress: Progress) -> dict[str, Any] | None:
    """Train, and give the fields of the outcome; nothing on a rank that does not lead."""
    folder = run_folder(verb.run, verb.runs)
    if verb.stop_at is not None and verb.stop_at < 0:
        raise SettingsError(f"--stop-at cannot be {verb.stop_at}", advice="give the step to stop at, 0 or more")
    outcome = train(folder, settings_of(verb), stop_at=verb.stop_at, progress=progress)
    return as_json(outcome) if outcome is not None else None


def settings_of(verb: TrainVerb | PlanVerb) -> Settings:
    """The settings that a recipe, overrides and flags make together."""
    flags: Given = {"plan": {}, "train": {}}
    for key, value in (
        ("depth", verb.depth),
        ("num_steps", verb.steps),
        ("device", verb.device),
        ("memory", verb.memory),
    ):
        if value is not None:
            flags["plan"][key] = value
    if verb.seed is not None:
        flags["train"]["seed"] = verb.seed
    return load_settings(verb.recipe, verb.set, flags)


def plan_run(verb: PlanVerb) -> dict[str, Any]:
    """The plan's fields and reasons."""
    settings = settings_of(verb)
    device, memory_given = settings.plan.device, settings.plan.memory
    if device == "cuda" and memory_given and not torch.cuda.is_available():
        hardware = assumed_card(memory_given)
    else:
        hardware = detect(device, memory_given)
    plan_settings = with_vocabulary(settings)
    reasoned = make_plan(plan_settings, hardware, seed=settings.train.seed)
    memory, reasons = dataclasses.asdict(reasoned.memory), dict(reasoned.reasons)
    if not reasoned.plan.fits:
        reasons["fits"] = what_would_fit(plan_settings, hardware, reasoned.plan)
    return {**reasoned.plan.as_dict(), "memory": memory, "reasons": reasons}


def pause(verb: SteerVerb) -> dict[str, Any]:
    """Let a run write a checkpoint and free its memory."""
    return _steer(verb, "pause")


def resume(verb: SteerVerb) -> dict[str, Any]:
    """Wake a paused run, or start the trainer of a dead or stopped one."""
    return _steer(verb, "resume")


def checkpoint(verb: SteerVerb) -> dict[str, Any]:
    """Let a run write a checkpoint at the next step boundary."""
    return _steer(verb, "checkpoint")


def stop(verb: SteerVerb) -> dict[str, Any]:
    """Let a run write a checkpoint and leave."""
    return _steer(verb, "stop")


def _steer(verb: SteerVerb, name: str) -> dict[str, Any]:
    folder = find_run(verb.run, verb.runs)
    request = requests.new_request(name, {}, why=verb.why)
    if name == "resume" and holder(folder.lock) is None:
        return _start(folder, verb.wait)
    return _ask(folder, request, verb.wait)


def extend(verb: ExtendVerb) -> dict[str, Any]:
    """Lengthen a schedule: through the trainer while it lives, else in run.toml itself."""
    folder = find_run(verb.run, verb.runs)
    return _ask(folder, requests.new_request("extend", {"num_steps": verb.steps}, why=verb.why), verb.wait)


def _ask(folder: RunFolder, request: Request, seconds: float) -> dict[str, Any]:
    """Drop a request and wait; with no trainer alive, answer it here under the trainer's lock."""
    view = RunView(folder)
    try:
        if holder(folder.lock) is None:
            try:
                with TrainerLock(folder.lock):
                    return _answer_alone(folder, request, view)
            except LockError:
                pass  # a trainer started in between: it will answer
        requests.send(folder, request)
        return _wait(folder, request, view, seconds)
    finally:
        view.close()


def _wait(folder: RunFolder, request: Request, view: RunView, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        row = view.outcome(request.id)
        if row is not None:
            return _outcome(folder, row["step"], row["outcome"], row["detail"])
        if holder(folder.lock) is None and requests.withdraw(folder, request):
            return _outcome(folder, view.status().step, "refused", "the trainer ended before it took the request")
        time.sleep(_POLL_SECONDS)
    return _outcome(folder, view.status().step, "pending", f"not taken within {seconds:g} s; it stays asked")


def _answer_alone(folder: RunFolder, request: Request, view: RunView) -> dict[str, Any]:
    """No trainer lives: a schedule can still be lengthened; there is nothing to pause, stop or save."""
    step = view.status().step
    recorder = Recorder(folder)
    recorder.step = step
    outcome: Literal["applied", "refused"] = "refused"
    try:
        if request.verb == "extend":
            try:
                run_file = extended(read_run_file(folder), step, int(request.arguments["num_steps"]))
                save_run_file(folder, run_file)
                outcome = "applied"
                detail = (
                    f"the schedule is {run_file.num_steps:,} steps long from step {step} on; "
                    f"coldframe train --run {folder.name} goes on"
                )
                recorder.event("extend", detail, detail={"num_steps": run_file.num_steps})
            except ResumeError as error:
                detail = str(error)
        else:
            detail = (
                f"nothing trains {folder.name} now; "
                f"coldframe train --run {folder.name} goes on from its last checkpoint"
            )
        recorder.outcome(
            request=request.id,
            requested=request.time,
            verb=request.verb,
            arguments=request.arguments,
            by=request.by,
            why=request.why,
            outcome=outcome,
            detail=detail,
        )
    finally:
        recorder.close()
    return _outcome(folder, step, outcome, detail)


def _start(folder: RunFolder, seconds: float) -> dict[str, Any]:
    """Start a trainer in the background and wait until it trains."""
    view = RunView(folder)
    try:
        status = view.status()
        if status.status == "done":
            return _outcome(folder, status.step, "refused", already_done(folder))
        before = view.cursor()["segments"]
        process = spawn_trainer(folder)
        deadline = time.monotonic() + max(seconds, START_SECONDS)
        while time.monotonic() < deadline:
            trains = holder(folder.lock)
            if view.cursor()["segments"] > before and trains is not None and trains.pid == process.pid:
                return _outcome(
                    folder, view.status().step, "applied", f"trainer {process.pid} started; it prints to {folder.log}"
                )
            if process.poll() is not None and trains is not None:
                detail = f"it is being trained already, by process {trains.pid} on {trains.host}"
                return _outcome(folder, view.status().step, "refused", detail)
            if process.poll() is not None:
                raise RequestError(f"the trainer ended with status {process.returncode}", advice=f"see {folder.log}")
            time.sleep(_POLL_SECONDS)
        return _outcome(
            folder, view.status().step, "pending", f"trainer {process.pid} is starting; it prints to {folder.log}"
        )
    finally:
        view.close()


def _outcome(folder: RunFolder, step: int, outcome: str, detail: str) -> dict[str, Any]:
    return {"run": folder.name, "step": step, "outcome": outcome, "detail": detail}
