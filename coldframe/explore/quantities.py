"""What each number on the pages is: name, unit, what it was measured on, and the command that shows it again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A kind of number, described for whoever hovers over it."""

    title: str
    unit: str
    measured: str
    command: str
    """RUN, STEP and PROMPT stand for the run, the step and the prompt in question."""


_TRAIN = "coldframe train --run RUN --json"

QUANTITIES: dict[str, Quantity] = {
    "train_loss": Quantity(
        title="Training loss",
        unit="nats/token",
        command=_TRAIN,
        measured="mean cross-entropy over the target tokens of each step's batch, by the weights before the step",
    ),
    "val_bpb": Quantity(
        title="Bits per byte",
        unit="bits/byte",
        command=_TRAIN,
        measured="held-out documents, scored whole, per raw UTF-8 byte; 95% interval over documents",
    ),
    "learning_rate": Quantity(
        title="Learning rate",
        unit="of its peak",
        command="coldframe plan --json",
        measured="the schedule's factor at each step; every group of parameters multiplies its own peak rate by it",
    ),
    "grad_norm": Quantity(
        title="Gradient norm",
        unit="",
        command=_TRAIN,
        measured="global L2 norm of all gradients at each step, before clipping",
    ),
    "clip_scale": Quantity(
        title="Clip scale",
        unit="",
        command=_TRAIN,
        measured="what the gradients were multiplied by at each step; below 1 means clipped",
    ),
    "tokens_per_second": Quantity(
        title="Speed",
        unit="tokens/s",
        command=_TRAIN,
        measured="training steps only: a step's tokens by its wall time; the headline is the last 100 steps' median",
    ),
    "step": Quantity(
        title="Step",
        unit="steps",
        command="coldframe plan --json",
        measured="optimizer steps done, of the schedule's whole horizon",
    ),
    "sample": Quantity(
        title="Sample",
        unit="nats/token",
        command="coldframe chat RUN --step STEP --raw -p PROMPT",
        measured="the text's own loss and perplexity under the weights that wrote it (low is confident, not good)",
    ),
    "checkpoint": Quantity(
        title="Checkpoint",
        unit="bytes",
        command="coldframe checkpoint RUN",
        measured="size on disk; time to write it, and for how much of that training stood still",
    ),
    "hardware": Quantity(
        title="Hardware", unit="", command="coldframe doctor", measured="the trainer's newest heartbeat"
    ),
    "chat": Quantity(
        title="Chat",
        unit="tokens/s",
        command="coldframe chat RUN --step STEP -p PROMPT",
        measured="this machine, one thread, beside whatever trains",
    ),
}
