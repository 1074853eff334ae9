"""Weights that readers may load while training goes on: step-stamped, never overwritten, the last two kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from coldframe.errors import CheckpointError
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder
from coldframe.run.view import RunView

KEPT = 2
_TRIES, _WAIT_SECONDS = 5, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Weights that can be loaded now."""

    id: int
    step: int
    time: float
    path: Path


def publish(folder: RunFolder, recorder: Recorder, tensors: Mapping[str, torch.Tensor], *, reason: str) -> Path | None:
    """Write weights under a new name, then announce them; drops all but the last two files.

    Returns None, with an event, when a weight is not finite or there is no room: readers keep what they have.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        recorder.event("publish", "weights are not finite, so they were not published", level="error")
        return None
    name = f"step-{recorder.step:08d}-{time.time_ns():x}.safetensors"
    path, temporary = folder.live / name, folder.live / f".{name}.tmp"
    try:
        folder.live.mkdir(parents=True, exist_ok=True)
        for left in folder.live.glob(".step-*.tmp"):  # by a trainer that was killed amid publishing
            left.unlink()
        save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # safetensors wraps the system's error
        temporary.unlink(missing_ok=True)
        recorder.event("publish", f"weights could not be published: {error}", level="error")
        return None
    recorder.published(file=name, num_bytes=path.stat().st_size, reason=reason)
    kept = recorder.published_files(KEPT)  # not by the files' times: a clock may be set back
    for old in folder.live.glob("*.safetensors"):
        if old.name not in kept:
            old.unlink()  # a reader that has it mapped keeps its pages
    return path


def newest(view: RunView) -> Published | None:
    """The newest published weights that still stand on disk."""
    return next(_standing(view), None)


def _standing(view: RunView) -> Iterator[Published]:
    """What is published and still stands on disk, newest first."""
    for row in reversed(view.rows("published", limit=KEPT, newest=True)):
        path = view.folder.live / row["file"]
        if path.is_file():
            yield Published(id=row["id"], step=row["step"], time=row["time"], path=path)


def load_newest(view: RunView) -> tuple[Published, dict[str, torch.Tensor]] | None:
    """Load the newest published weights that are whole; None when there are none.

    Raises:
        CheckpointError: when the files vanish faster than they can be read.
    """
    if view.last("published") is None:
        return None
    vanished = False
    for _ in range(_TRIES):
        for found in _standing(view):
            try:
                return found, load_file(found.path)
            except FileNotFoundError:  # replaced between the look and the load
                vanished = True
            except SafetensorError:  # cut short, as a power cut leaves it: nobody waits for the disk to have it
                continue
        time.sleep(_WAIT_SECONDS)
    if not vanished:
        return None  # somebody deleted them
    raise CheckpointError(f"the published weights of {view.folder.name!r} keep vanishing", advice="try again")
