"""Runs for the explorer's tests: written by the real recorder, trained by a thread that does everything but train."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import tomli_w
import torch

from coldframe.model.sizes import Sizes
from coldframe.model.transformer import Transformer
from coldframe.run.checkpoints import write_checkpoint
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder, StepRow, Telemetry
from coldframe.run.requests import read, waiting
from coldframe.tokens.tokenizer import SPECIALS, Tokenizer

PLAN = """
[plan]
num_steps = {steps}
context = 32
clip_norm = 1.0

[plan.reasons]
num_steps = "asked for"

[train]
checkpoint_every = 50
sample_every = 50
"""


def step_row(step: int, loss: float | None = None) -> StepRow:
    """A step of a run that learns smoothly."""
    return StepRow(
        step=step,
        train_loss=3 + 5 * math.exp(-step / 40) if loss is None else loss,
        learning_rate=0.01,
        grad_norm=0.5,
        clip_scale=1.0,
        num_tokens=step * 100,
        next_row=step * 4,
        seconds=0.5,
        tokens_per_second=200.0,
    )


def make_run(runs: Path, name: str, *, steps: int = 0, planned: int = 200, status: str | None = "stopped") -> RunFolder:
    """A run of some finished steps, with an evaluation and samples on the way; without a status it was only planned."""
    folder = RunFolder(runs / name)
    folder.create()
    folder.plan_file.write_text(PLAN.format(steps=planned), encoding="utf-8")
    if status is None:
        return folder
    recorder = Recorder(folder)
    recorder.begin_segment(start_step=0, reason="start", checkpoint=None, code_version="0", environment={}, changed={})
    recorder.steps(step_row(step) for step in range(1, steps + 1))
    recorder.step = steps
    if steps:
        for source, value in (("books", 2.1), ("docs", 2.4), ("all", 2.25)):
            recorder.evaluation(
                suite="bpb",
                source=source,
                metric="bits_per_byte",
                value=value,
                low=value - 0.1,
                high=value + 0.1,
                n=12,
                detail={},
            )
        recorder.sample(
            prompt="The garden",
            text=" grows under glass.",
            temperature=0.8,
            seed=1,
            num_tokens=5,
            loss=2.0,
            perplexity=7.4,
        )
        recorder.event("start", "training began")
    recorder.heartbeat(status, "", Telemetry(memory_bytes=10**9))
    recorder.close()
    return folder


class Trainer:
    """Holds a run's lock, writes a step now and then, and answers requests between two steps."""

    def __init__(self, folder: RunFolder, *, pace: float = 0.02, answers: bool = True) -> None:
        self.folder, self.pace, self.answers = folder, pace, answers
        self.status = "training"
        self.act: Callable[[Recorder], None] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> Trainer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _train(self) -> None:
        with TrainerLock(self.folder.lock).acquire():
            recorder = Recorder(self.folder)
            found = recorder._connection.execute("SELECT MAX(step) FROM steps").fetchone()[0] or 0
            recorder.step = found
            recorder.heartbeat("training", "", Telemetry(memory_bytes=10**9))
            self._ready.set()
            while not self._end.is_set():
                self._between_steps(recorder)
                if self.status == "training":
                    recorder.step += 1
                    recorder.steps([step_row(recorder.step)])
                time.sleep(self.pace)
            recorder.close()

    def _between_steps(self, recorder: Recorder) -> None:
        if self.act is not None:
            act, self.act = self.act, None
            act(recorder)
        for path in waiting(self.folder) if self.answers else ():
            wanted = read(path)
            path.unlink()
            self.status = {"pause": "paused", "resume": "training", "stop": "stopped"}.get(wanted.verb, self.status)
            recorder.outcome(
                request=wanted.id,
                requested=wanted.time,
                verb=wanted.verb,
                arguments=wanted.arguments,
                by=wanted.by,
                why=wanted.why,
                outcome="applied",
                detail=f"{wanted.verb} done",
            )
            recorder.heartbeat(self.status, "", Telemetry())
            if wanted.verb == "stop":
                self._end.set()


def make_model(
    folder: RunFolder, *, step: int = 40, kind: str = "pretrain", seed: int = 0, context: int = 64
) -> Recorder:
    """Give a run a tokenizer and a checkpoint of a tiny untrained model; the recorder stays open."""
    tokenizer = Tokenizer.train(["The garden grows under glass, and the glass is warm. " * 20], 280)
    tokenizer.save(folder.tokenizer)
    sizes = Sizes(
        num_layers=2,
        width=64,
        num_heads=2,
        num_kv_heads=2,
        head_dim=32,
        vocab_size=tokenizer.vocab_size,
        context=context,
    )
    table = {"num_steps": 200, **dataclasses.asdict(sizes)}
    folder.plan_file.write_text(
        tomli_w.dumps({"run": {"kind": kind}, "plan": table, "train": {"checkpoint_every": 50}}), encoding="utf-8"
    )
    recorder = Recorder(folder)
    recorder.step = step
    written = write_checkpoint(folder, step, model=weights(sizes, seed), optimizer={}, state={}, reason="schedule")
    recorder.checkpoint(
        folder=written.path.name,
        num_bytes=1,
        seconds=0.1,
        stall_seconds=0.0,
        weights_sha256=written.weights_sha256,
        reason="schedule",
        val_bpb=None,
    )
    return recorder


def weights(sizes: Sizes, seed: int) -> dict[str, torch.Tensor]:
    """A model's first weights, with a head large enough that it does not say everything alike, and no wish to end."""
    model = Transformer(sizes)
    model.initialise(seed)
    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    head = tensors["head"] * 300
    head[-len(SPECIALS) :] = 0  # among the most probable tokens there is none that ends a turn
    return tensors | {"head": head}
