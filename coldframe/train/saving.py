"""Checkpoints and published weights of a running trainer: when, what is kept, and what is recorded about it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import torch

from coldframe.errors import CheckpointError, DiskFullError
from coldframe.run import checkpoints
from coldframe.run.checkpoints import Checkpoint
from coldframe.run.leases import lease_is_held
from coldframe.run.paths import RunFolder
from coldframe.run.published import publish
from coldframe.run.record import Recorder
from coldframe.settings import TrainSettings
from coldframe.train.state import state_from_json
from coldframe.train.trainer import Trainer

_LEASE_CHECK_SECONDS = 1.0
#: Publishing may take at most this share of the time.
_PUBLISH_SHARE = 0.02
_log = logging.getLogger("coldframe")


def load_checkpoint(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Take over a checkpoint's weights, moments and position.

    Raises:
        CheckpointError: when its tensors do not fit the run's plan.
    """
    weights = checkpoints.read_weights(checkpoint)
    wanted = {name: tuple(tensor.shape) for name, tensor in trainer.model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise CheckpointError(
            f"checkpoint {checkpoint.path.name} does not fit the run's plan: {differing[0]} is "
            f"{found.get(differing[0])}, planned {wanted.get(differing[0])}",
            advice="restore the run.toml that it was made with",
        )
    trainer.model.load_state_dict(weights)
    state = state_from_json(checkpoints.read_state(checkpoint))
    trainer.optimizer.load_state(checkpoints.read_optimizer(checkpoint), state.num_updates)
    trainer.state = state


class Saver:
    """Writes checkpoints, applies retention, publishes weights to readers."""

    def __init__(self, folder: RunFolder, recorder: Recorder, trainer: Trainer, settings: TrainSettings) -> None:
        self.folder, self.recorder, self.trainer, self.settings = folder, recorder, trainer, settings
        self.last_saved: int | None = None
        self.weights_sha256 = ""
        self._lease_checked = self._published_at = -1e9
        self._publish_seconds = 0.0
        self._published_step: int | None = None

    def save(self, reason: str) -> str:
        """Write a checkpoint of the present state, unless there is one; gives its folder's name.

        Raises:
            DiskFullError: when there is no room; the checkpoints before it are untouched.
        """
        state = self.trainer.state
        name = f"step-{state.step:08d}"
        if self.last_saved == state.step:
            return name
        began = time.monotonic()
        try:
            written = checkpoints.write_checkpoint(
                self.folder,
                state.step,
                model=self.trainer.model.state_dict(),
                optimizer=self.trainer.optimizer.state,
                state=state.as_json(),
                reason=reason,
            )
        except DiskFullError as error:
            self.recorder.event("checkpoint", f"no checkpoint of step {state.step}: {error.message}", level="error")
            raise
        seconds = time.monotonic() - began
        num_bytes = sum(entry["bytes"] for entry in written.manifest["files"].values())
        self.recorder.checkpoint(
            folder=name,
            num_bytes=num_bytes,
            seconds=seconds,
            stall_seconds=seconds,
            weights_sha256=written.weights_sha256,
            reason=reason,
            val_bpb=None,
        )
        self.last_saved, self.weights_sha256 = state.step, written.weights_sha256
        self.retain()
        _log.info("checkpoint of step %d (%s, %.1f s)", state.step, reason, seconds)
        return name

    def scored(self, val_bpb: float | None) -> None:
        """Note the bits per byte of the present weights (None: not measured); the best in a checkpoint are kept."""
        state = self.trainer.state
        if val_bpb is None or self.last_saved != state.step:
            return
        if self.is_best(val_bpb):
            state.best_bpb, state.best_step = val_bpb, state.step
        self.recorder.checkpoint_scored(f"step-{state.step:08d}", val_bpb)
        self.retain()

    def is_best(self, val_bpb: float | None) -> bool:
        """Whether no checkpoint's weights were better."""
        best = self.trainer.state.best_bpb
        return val_bpb is not None and (best is None or val_bpb < best)

    def retain(self) -> None:
        """Drop what the retention policy does not keep; only ever after a newer checkpoint is safe."""
        whole_kept = 0
        for checkpoint in checkpoints.list_checkpoints(self.folder):
            whole_kept += checkpoint.has_optimizer
            if checkpoint.has_optimizer and whole_kept <= max(1, self.settings.keep_last):
                continue
            if self._keeps_weights(checkpoint.step):
                if checkpoint.has_optimizer:
                    checkpoints.drop_optimizer(checkpoint)
                    self.recorder.checkpoint_contains(checkpoint.path.name, "weights")
                continue
            checkpoints.delete(checkpoint)
            self.recorder.checkpoint_contains(checkpoint.path.name, "nothing")

    def publish_if_wanted(self) -> None:
        """Publish weights when a reader holds a lease, often enough to be fresh and seldom enough to cost nothing."""
        now = time.monotonic()
        if now - self._lease_checked < _LEASE_CHECK_SECONDS:
            return
        self._lease_checked = now
        wait = max(self.settings.publish_seconds, self._publish_seconds / _PUBLISH_SHARE)
        if now - self._published_at < wait or self._published_step == self.trainer.state.step:
            return
        if lease_is_held(self.folder):
            self.publish("lease")

    def publish(self, reason: str) -> None:
        """Publish the present weights, in the type that the model computes in."""
        began = time.monotonic()
        publish(self.folder, self.recorder, self._weights(), reason=reason)
        self._published_step, self._published_at = self.trainer.state.step, time.monotonic()
        self._publish_seconds = self._published_at - began

    def _weights(self) -> Mapping[str, torch.Tensor]:
        dtype = self.trainer.model.compute_dtype
        return {name: tensor.to(dtype).cpu() for name, tensor in self.trainer.model.state_dict().items()}

    def _keeps_weights(self, step: int) -> bool:
        best = self.settings.keep_best and step == self.trainer.state.best_step
        return best or (self.settings.keep_every > 0 and step % self.settings.keep_every == 0)
