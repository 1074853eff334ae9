"""One trainer process from beginning to end: the lock, the ranks, the run, its stretches between pauses, its end."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coldframe.errors import ColdframeError, DiskFullError
from coldframe.hardware import Hardware, detect
from coldframe.model.parallel import Ranks, from_leader, join_ranks, leave_ranks
from coldframe.run import checkpoints, requests
from coldframe.run.environment import code_version, environment
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder
from coldframe.settings import Settings
from coldframe.train.allocator import give_back_memory, prepare_allocator
from coldframe.train.control import Control, StopAsked, leave_if_asked
from coldframe.train.judging import Judge
from coldframe.train.loop import End, Leader, Loop
from coldframe.train.mixing import open_stream
from coldframe.train.opening import Opened, Progress, open_new, open_old
from coldframe.train.probing import measured_speed, peak_memory, probe
from coldframe.train.runfile import read_run_file
from coldframe.train.saving import Saver, load_checkpoint
from coldframe.train.steplog import StepLog
from coldframe.train.telemetry import Heartbeat
from coldframe.train.trainer import Trainer, prepare_torch

_WAKE_SECONDS = 0.2
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a session ended; the fields that `--json` gives."""

    run: str
    step: int
    train_loss: float | None
    val_bpb: float | None
    num_tokens: int
    tokens_per_second: float | None
    peak_memory_bytes: int
    weights_sha256: str
    status: str


def train(folder: RunFolder, settings: Settings, *, stop_at: int | None, progress: Progress) -> Outcome | None:
    """Start a run, or resume it where it was: by its name alone. Ranks that do not lead have no outcome.

    Raises:
        ColdframeError: with what to do next; whatever was saved stays.
    """
    prepare_allocator()
    device = settings.plan.device
    if device == "auto" and folder.exists:
        device = read_run_file(folder).plan.device
    hardware = detect(device, settings.plan.memory)
    ranks = join_ranks(hardware.device)
    try:
        with _lock(folder, ranks) as held, _nothing_to_save():
            opened = _open(folder, settings, hardware, ranks, held, progress)
            return Session(opened, hardware, ranks, held).run(stop_at)
    except KeyboardInterrupt:
        _log.info("stopped before training; what was prepared is kept")
        return _unchanged(folder) if ranks.leads else None
    finally:
        leave_ranks()


class Session:
    """A run being trained by this process (and its peers)."""

    def __init__(self, opened: Opened, hardware: Hardware, ranks: Ranks, held: Held) -> None:
        self.opened, self.hardware, self.ranks, self.held = opened, hardware, ranks, held
        self.run_file = opened.run_file
        self.folder = opened.folder
        self._reason = "start" if opened.is_new else "resume"
        self._changed = opened.changed
        self._energy_joules = 0.0
        prepare_torch(self.run_file.plan)

    def run(self, stop_at: int | None) -> Outcome | None:
        """Train until the end or a stop, sleeping through pauses; only rank 0 has an outcome to tell."""
        if not self.ranks.leads:
            self._follow(stop_at)
            return None
        recorder = Recorder(self.folder)
        try:
            control = Control(self.folder, recorder, self.held.earlier)
            with control.signals():
                while True:
                    end, outcome = self._stretch(recorder, control, stop_at)
                    if end != "paused":
                        return outcome
                    if not self._sleep(recorder, control):
                        return dataclasses.replace(outcome, status="stopped")
                    self._reason, self._changed = "resume after a pause", {}
        finally:
            recorder.close()

    def _follow(self, stop_at: int | None) -> None:
        """The part of a rank that does not lead: it learns, and does as rank 0 decides."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)  # torchrun tells every rank; rank 0 decides for all
        while True:
            trainer = self._build(None)
            loop = Loop(
                self.run_file,
                trainer,
                open_stream(self.run_file.plan, trainer.state, self.opened.sources),
                self.ranks,
                None,
            )
            end = loop.run(stop_at)
            self.run_file = loop.run_file
            del trainer, loop
            give_back_memory(torch.device(self.run_file.plan.device))
            if end != "paused" or not from_leader(None, self.ranks):
                return

    def _stretch(self, recorder: Recorder, control: Control, stop_at: int | None) -> tuple[End, Outcome]:
        """From a start or checkpoint to the next end, stop or pause."""
        trainer = self._build(recorder)
        plan, state = self.run_file.plan, trainer.state
        heartbeat = Heartbeat(
            recorder,
            trainer.device,
            flops_per_token=plan.flops_per_token,
            peak_flops=self.hardware.peak_flops and self.hardware.peak_flops * self.ranks.count,
            energy_joules=state.energy_joules,
        )
        saver = Saver(self.folder, recorder, trainer, self.run_file.train)
        judge = Judge(recorder, trainer, self.opened.tokenizer, self.opened.sources, self.run_file.train)
        steps = StepLog(
            recorder,
            self.run_file.num_steps,
            batch_tokens=plan.total_batch_tokens,
            runs_behind=plan.device == "cuda",
        )
        leader = Leader(control=control, saver=saver, judge=judge, steps=steps, heartbeat=heartbeat)
        loop = Loop(self.run_file, trainer, open_stream(plan, state, self.opened.sources), self.ranks, leader)
        with heartbeat:
            try:
                heartbeat.say("training")
                end = loop.run(stop_at)
                steps.finish()
            except BaseException as error:
                self._failed(recorder, heartbeat, error)
                raise
        self.run_file, self._energy_joules = loop.run_file, heartbeat.energy_joules
        outcome = Outcome(
            run=self.folder.name,
            step=state.step,
            train_loss=recorder.train_loss_at(state.step),
            val_bpb=recorder.val_bpb_at(state.step),
            num_tokens=state.num_tokens,
            tokens_per_second=steps.median_tokens_per_second(),
            peak_memory_bytes=max(heartbeat.peak_memory_bytes, peak_memory(plan)),
            weights_sha256=saver.weights_sha256,
            status=end,
        )
        return end, outcome

    def _build(self, recorder: Recorder | None) -> Trainer:
        """The trainer at the newest sound checkpoint, or at the very start, in a segment of its own."""
        warn = _log.warning if self.ranks.leads else _log.debug
        warnings: list[str] = []
        found = None
        if self.ranks.leads:
            found = checkpoints.newest_sound(self.folder, lambda text: (warnings.append(text), warn("%s", text))[0])
        step = from_leader(found.step if found else None, self.ranks)
        trainer = Trainer(self.run_file.plan, self.ranks, horizon=self.run_file.horizon_at)
        if step is not None:
            load_checkpoint(trainer, found or checkpoints.find_checkpoint(self.folder, step))
            if recorder is not None:
                trainer.state.best_step, trainer.state.best_bpb = recorder.best_checkpoint(before=step)
            if {"plan.device", "plan.device_batch"} & self._changed.keys():
                trainer.state.device_batch = self.run_file.plan.device_batch
        else:
            trainer.state.stages = [dict(stage) for stage in self.opened.first_stages]
        probed = probe(self.run_file, trainer) if step is None else []  # on every rank: a step sums over them
        if recorder is not None:
            for name in checkpoints.set_aside_damaged(self.folder, after=step or 0):
                recorder.checkpoint_contains(name, "nothing")
            checkpoints.clear_leftovers(self.folder)
            recorder.begin_segment(
                start_step=trainer.state.step,
                reason=self._reason,
                checkpoint=found.path.name if found else None,
                code_version=code_version(),
                environment=environment(),
                changed=self._changed,
                lock_since=self.held.since,
            )
            self._record_beginning(recorder, trainer, warnings, probed)
        return trainer

    def _record_beginning(self, recorder: Recorder, trainer: Trainer, warnings: list[str], probed: list[str]) -> None:
        step = trainer.state.step
        for text in warnings:
            recorder.event("checkpoint", text, level="warning")
        for name, change in self._changed.items():
            recorder.event("settings", f"{name}: {change}", level="warning")
            _log.warning("changed setting: %s: %s", name, change)
        if step == 0:
            for stage in trainer.state.stages:
                recorder.stage(**stage)
        for line in probed:
            recorder.event("memory", line)
        recorder.event(self._reason.split()[0], f"training from step {step} of {self.run_file.num_steps:,}")
        _log.info("training %s from step %d of %d", self.folder.name, step, self.run_file.num_steps)

    def _sleep(self, recorder: Recorder, control: Control) -> bool:
        """Hold no memory until somebody wakes or stops the run; whether to go on."""
        give_back_memory(torch.device(self.run_file.plan.device))
        device = torch.device(self.run_file.plan.device)
        heartbeat = Heartbeat(recorder, device, flops_per_token=0, peak_flops=None, energy_joules=self._energy_joules)
        heartbeat.status = "paused"
        with heartbeat:
            freed = "the process lives on and holds no model"
            control.answer("pause", "applied", f"paused at step {recorder.step} with a checkpoint; {freed}")
            recorder.event("paused", f"training paused at step {recorder.step}")
            while True:
                woken = control.wants_to_wake()
                if woken or control.stop_wanted.is_set() or control.decide(paused=True).leave == "stop":
                    break
                time.sleep(_WAKE_SECONDS)
            heartbeat.status = "training" if woken else "stopped"
        from_leader(woken, self.ranks)
        if woken:
            control.answer("resume", "applied", f"training again from step {recorder.step}")
        else:
            control.answer("stop", "applied", f"stopped at step {recorder.step}, where it was paused")
            recorder.event("stopped", f"training stopped at step {recorder.step}")
        return woken

    def _failed(self, recorder: Recorder, heartbeat: Heartbeat, error: BaseException) -> None:
        """Leave word of a failure, as far as the disk still takes it."""
        message = error.message if isinstance(error, ColdframeError) else f"{type(error).__name__}: {error}"
        heartbeat.status, heartbeat.message = "failed", message
        with contextlib.suppress(DiskFullError):
            recorder.event("failed", message, level="error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The run's lock, held: since when, and the requests that waited then, which were asked of an earlier trainer."""

    since: float | None = None
    earlier: tuple[Path, ...] = ()


@contextlib.contextmanager
def _lock(folder: RunFolder, ranks: Ranks) -> Iterator[Held]:
    """The run's lock, which rank 0 takes for all."""
    if not ranks.leads:
        yield Held()
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    with TrainerLock(folder.lock) as lock:
        yield Held(since=lock.since, earlier=tuple(requests.waiting(folder)))


@contextlib.contextmanager
def _nothing_to_save() -> Iterator[None]:
    """Until `Control.signals`, SIGTERM leaves at once, as Ctrl-C does, and SIGUSR1 asks for nothing."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _unchanged(folder: RunFolder) -> Outcome:
    """The outcome of a trainer that was stopped before it had a model: the run stands where it stood."""
    found = checkpoints.list_checkpoints(folder)
    state = checkpoints.read_state(found[0]) if found else {}
    return Outcome(
        run=folder.name,
        step=found[0].step if found else 0,
        train_loss=None,
        val_bpb=None,
        num_tokens=int(state.get("num_tokens", 0)),
        tokens_per_second=None,
        peak_memory_bytes=0,
        weights_sha256=found[0].weights_sha256 if found else "",
        status="stopped",
    )


def _open(
    folder: RunFolder, settings: Settings, hardware: Hardware, ranks: Ranks, held: Held, progress: Progress
) -> Opened:
    """Rank 0 plans and prepares; the others read what it wrote."""
    opened: Opened | None = None
    failure: ColdframeError | StopAsked | None = None

    def tell(what: str, done: float) -> None:
        progress(what, done)
        leave_if_asked(folder, held.earlier)

    if ranks.leads:
        try:
            opened = (
                open_old(folder, settings, hardware)
                if folder.exists
                else open_new(folder, settings, hardware, tell, measured_speed)
            )
        except (ColdframeError, StopAsked) as error:
            failure = error
    failure = from_leader(failure, ranks)
    if failure is not None:
        raise failure
    return opened or open_old(folder, Settings(), hardware)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The fields that `--json` gives."""
    return {name: getattr(outcome, name) for name in Outcome.__slots__}
