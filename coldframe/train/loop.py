"""The loop: between two steps look at what is wanted, learn from the next batch, save, measure, sample.

    wanted? -> next batch -> step -> record -> checkpoint due? -> evaluation due? -> sample due?

A checkpoint is always written before anything is measured at the same step, so that no measurement can cost it.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Literal

from coldframe.errors import ResumeError
from coldframe.mixture.stream import Prefetcher, Stream
from coldframe.model.parallel import Ranks, from_leader
from coldframe.train.control import Control, Decision
from coldframe.train.judging import Judge
from coldframe.train.runfile import RunFile, extended, save_run_file
from coldframe.train.saving import Saver
from coldframe.train.steplog import StepLog
from coldframe.train.telemetry import Heartbeat
from coldframe.train.trainer import Trainer

End = Literal["done", "stopped", "paused"]


@dataclass(slots=True, kw_only=True)
class Leader:
    """What only rank 0 has: the record, the requests, the checkpoints."""

    control: Control
    saver: Saver
    judge: Judge
    steps: StepLog
    heartbeat: Heartbeat


class Loop:
    """Trains one stretch of a run: until its end, a stop or a pause."""

    def __init__(
        self, run_file: RunFile, trainer: Trainer, stream: Stream, ranks: Ranks, leader: Leader | None
    ) -> None:
        self.run_file, self.trainer, self.stream, self.ranks, self.leader = run_file, trainer, stream, ranks, leader

    def run(self, stop_at: int | None) -> End:
        """Train; at the end, whichever it is, there is a checkpoint of the last step."""
        while True:
            end = self._train(stop_at)
            self._conclude(end)
            if end != "done" or not self._lengthened():
                break
        self._leave(end)
        return end

    def _train(self, stop_at: int | None) -> End:
        """Step by step, until the horizon or until somebody wants the end."""
        state, plan = self.trainer.state, self.trainer.plan
        with Prefetcher(
            self.stream, state.next_row, plan.batch_rows, rank=self.ranks.rank, ranks=self.ranks.count
        ) as reader:
            while True:
                decision = self._decide(stop_at)
                if decision.extend_to is not None:
                    self._extend(decision.extend_to, decision.extend_request)
                if state.step >= self.run_file.num_steps:
                    return "done"
                if decision.checkpoint and not decision.leave:
                    self._checkpoint(decision.checkpoint)
                if decision.leave:
                    return "paused" if decision.leave == "pause" else "stopped"
                self._step(reader)
                self._after_step()

    def _lengthened(self) -> bool:
        """Whether one of the requests that came until now, during the last measurements too, asked for more steps."""
        while (decision := self._decide(None)).extend_to is not None:
            self._extend(decision.extend_to, decision.extend_request)
        return self.trainer.state.step < self.run_file.num_steps

    def _decide(self, stop_at: int | None) -> Decision:
        if self.leader is None:
            return from_leader(None, self.ranks)
        decision = self.leader.control.decide()
        if stop_at is not None and self.trainer.state.step >= stop_at and not decision.leave:
            decision = dataclasses.replace(decision, leave="stop")
        return from_leader(decision, self.ranks)

    def _step(self, reader: Prefetcher) -> None:
        began = time.perf_counter()
        batch = next(reader)
        state = self.trainer.state
        micro_batch = state.device_batch
        result = self.trainer.step(batch, len(self.stream.names))
        state.next_row = reader.row
        if self.leader is not None:
            state.train_seconds += time.perf_counter() - began
            self.leader.control.recorder.step = state.step
            self.leader.steps.add(result, state, self.stream.names, began)
            self.leader.heartbeat.tokens_per_second = self.leader.steps.tokens_per_second
            if state.device_batch < micro_batch:
                self._ran_out_of_memory(micro_batch)
            if self.trainer.compile_failure:
                self._trains_uncompiled(self.trainer.compile_failure)
                self.trainer.compile_failure = None
            self.leader.saver.publish_if_wanted()

    def _ran_out_of_memory(self, micro_batch: int) -> None:
        assert self.leader is not None
        state = self.trainer.state
        self.leader.control.recorder.event(
            "memory",
            f"memory ran out in step {state.step}: {state.device_batch} rows a micro-batch from now on instead of "
            f"{micro_batch}; the batch stays as it was",
            level="warning",
            detail={"device_batch": state.device_batch, "before": micro_batch},
        )

    def _trains_uncompiled(self, why: str) -> None:
        assert self.leader is not None
        self.leader.control.recorder.event(
            "compile", f"the model cannot be compiled and trains without: {why}", level="warning"
        )

    def _after_step(self) -> None:
        if self.leader is None:
            return
        step, settings = self.trainer.state.step, self.run_file.train
        last = step == self.run_file.num_steps
        if settings.checkpoint_every and step % settings.checkpoint_every == 0 and not last:
            self._checkpoint("schedule")
        if settings.evaluate_every and step % settings.evaluate_every == 0 and not last:
            self._evaluate()
        if settings.sample_every and step % settings.sample_every == 0 and not last:
            self._sample()

    def _checkpoint(self, reason: str) -> None:
        if self.leader is None:
            return
        self.leader.steps.flush()  # what stands in the record is at least as new as what can be resumed
        self.leader.heartbeat.say("checkpointing")
        self.trainer.state.energy_joules = self.leader.heartbeat.energy_joules
        folder = self.leader.saver.save(reason)
        self.leader.control.answer("checkpoint", "applied", f"wrote {folder}")
        self.leader.heartbeat.say("training")

    def _evaluate(self) -> None:
        """Measure; the best weights so far are worth a checkpoint of their own."""
        if self.leader is not None:
            self.leader.steps.flush()  # a GPU's pending steps must not seem to take as long as this
            self.leader.heartbeat.say("evaluating")
            val_bpb = self.leader.judge.evaluate()
            if self.run_file.train.keep_best and self.leader.saver.is_best(val_bpb):
                self._checkpoint("best")
            self.leader.saver.scored(val_bpb)
            self.leader.heartbeat.say("training")

    def _sample(self) -> None:
        if self.leader is not None:
            self.leader.steps.flush()
            self.leader.heartbeat.say("sampling")
            self.leader.judge.sample()
            self.leader.heartbeat.say("training")

    def _extend(self, num_steps: int, request: str) -> None:
        try:
            self.run_file = extended(self.run_file, self.trainer.state.step, num_steps)
        except ResumeError as error:
            if self.leader is not None:
                self.leader.control.answer("extend", "refused", str(error), only=request)
            return
        self.trainer.set_horizon(self.run_file.horizon_at)
        if self.leader is not None:
            control = self.leader.control
            save_run_file(control.folder, self.run_file)
            self.leader.steps.num_steps = num_steps
            detail = f"the schedule is {num_steps:,} steps long from step {self.trainer.state.step} on"
            control.recorder.event("extend", detail, detail={"num_steps": num_steps})
            control.answer("extend", "applied", detail, only=request)

    def _conclude(self, end: End) -> None:
        """The last checkpoint, then the last measurements."""
        if self.leader is None:
            return
        self._checkpoint({"done": "end", "stopped": "stop", "paused": "pause"}[end])
        if end == "done":
            self._evaluate()
            if self.run_file.train.sample_every:
                self._sample()
            self.leader.saver.publish("end")

    def _leave(self, end: End) -> None:
        """The answers to who asked for the end; a pause is answered once the memory is free."""
        if self.leader is None or end == "paused":
            return
        step = self.trainer.state.step
        control = self.leader.control
        self.leader.heartbeat.say(end, f"at step {step}")
        control.recorder.event(end, f"training {end} at step {step}")
        control.answer("checkpoint", "applied", f"step {step} has a checkpoint: the run {end} there")
        for verb in ("stop", "pause"):
            control.answer(
                verb, "applied" if verb == "stop" else "refused", f"the run {end} at step {step}, with a checkpoint"
            )
