"""Checkpoints on disk: a folder that exists only when it is whole.

    checkpoints/step-00000200/model.safetensors, optimizer.safetensors, state.json, manifest.json

Written into a hidden folder first; each file flushed to the disk, the manifest (names, sizes, hashes) last; then the
folder is renamed and its parent flushed. Whatever a crash leaves behind is either a whole checkpoint or not one. Every
step of this goes through a `Disk`, so that a test can crash between any two of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from coldframe.errors import CheckpointError
from coldframe.run.durable import room_for
from coldframe.run.paths import RunFolder

MODEL, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
_FORMAT = 1
_FOLDER = re.compile(r"step-(\d{8})(\.replaced)?")
_log = logging.getLogger("coldframe")


class Disk:
    """The few things that writing a checkpoint does to a disk."""

    def make_folder(self, path: Path) -> None:
        """Make an empty folder."""
        path.mkdir()

    def write(self, path: Path, write: Callable[[Path], None]) -> None:
        """Let a function write a file; its bytes may still be only in memory."""
        write(path)

    def flush(self, path: Path) -> None:
        """Put a file's bytes, or a folder's names, onto the disk for good."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Give a folder another name."""
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        """Delete a file, or a folder with all that is in it."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint: its manifest was read and its files have their sizes."""

    step: int
    path: Path
    manifest: Mapping[str, Any]

    @property
    def has_optimizer(self) -> bool:
        """Whether training can go on from here, or only the weights were kept."""
        return (self.path / OPTIMIZER).is_file() and OPTIMIZER in self.manifest["files"]

    @property
    def weights_sha256(self) -> str:
        """The identity of the weights."""
        return str(self.manifest["weights_sha256"])


def write_checkpoint(
    folder: RunFolder,
    step: int,
    *,
    model: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
    reason: str,
    disk: Disk | None = None,
) -> Checkpoint:
    """Write a checkpoint; what stood under the same step is replaced only once the new one is safe.

    Raises:
        DiskFullError: when there is no room; nothing half-written is left.
    """
    disk = disk or Disk()
    final = folder.checkpoints / f"step-{step:08d}"
    temporary = folder.checkpoints / f".{final.name}.tmp-{os.getpid()}"
    if temporary.exists():
        disk.remove(temporary)
    files: dict[str, Callable[[Path], None]] = {
        MODEL: lambda path: save_file(_plain(model), path),
        OPTIMIZER: lambda path: save_file(_plain(optimizer), path),
        STATE: lambda path: _write_text(path, json.dumps(state)),
    }
    weights = weights_sha256(model)
    try:
        with room_for(temporary):
            disk.make_folder(temporary)
            for name, write in files.items():
                disk.write(temporary / name, write)
                disk.flush(temporary / name)
            manifest = {
                "format": _FORMAT,
                "step": step,
                "time": time.time(),
                "reason": reason,
                "weights_sha256": weights,
                "files": {name: _fingerprint(temporary / name) for name in files},
            }
            disk.write(temporary / MANIFEST, lambda path: _write_text(path, json.dumps(manifest, indent=1)))
            disk.flush(temporary / MANIFEST)
            disk.flush(temporary)
    except SafetensorError as error:  # safetensors wraps the system's error
        _discard(temporary)
        with room_for(temporary):
            raise OSError(_error_number(error), str(error)) from error
    except BaseException:
        _discard(temporary)
        raise
    with room_for(final):
        _put_in_place(temporary, final, disk)
    return Checkpoint(step=step, path=final, manifest=manifest)


def list_checkpoints(folder: RunFolder) -> list[Checkpoint]:
    """The whole checkpoints, newest first, by their manifests and sizes (hashes are checked when one is loaded)."""
    found: dict[int, Checkpoint] = {}
    if not folder.checkpoints.is_dir():
        return []
    for path in sorted(folder.checkpoints.iterdir()):  # "step-N" sorts before "step-N.replaced" and so wins
        match = _FOLDER.fullmatch(path.name)
        if match and int(match[1]) not in found:
            checkpoint = _open(int(match[1]), path)
            if checkpoint is not None:
                found[checkpoint.step] = checkpoint
    return [found[step] for step in sorted(found, reverse=True)]


def find_checkpoint(folder: RunFolder, step: int) -> Checkpoint:
    """The checkpoint of a step.

    Raises:
        CheckpointError: when there is none, with the steps there are.
    """
    known = list_checkpoints(folder)
    for checkpoint in known:
        if checkpoint.step == step:
            return checkpoint
    steps = ", ".join(str(checkpoint.step) for checkpoint in reversed(known)) or "none yet"
    raise CheckpointError(f"run {folder.name!r} has no checkpoint of step {step}", advice=f"kept steps: {steps}")


def verify(checkpoint: Checkpoint, names: Container[str] = (MODEL, OPTIMIZER, STATE)) -> None:
    """Compare the files of these names with their hashes.

    Raises:
        CheckpointError: naming the file that differs.
    """
    for name, expected in checkpoint.manifest["files"].items():
        path = checkpoint.path / name
        if name in names and path.is_file() and _fingerprint(path) not in (expected, None):
            raise CheckpointError(
                f"checkpoint {checkpoint.path.name}: {name} does not have the bytes that were written"
            )


def newest_sound(folder: RunFolder, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint from which training can go on, its hashes checked; `warn` hears which were passed over.

    Raises:
        CheckpointError: when there are checkpoints and none of them will do: to begin again would overwrite them.
    """
    damaged = num_weights_only = 0
    for path in _incomplete(folder):
        damaged += 1
        warn(f"{path.name} is not a whole checkpoint and is passed over")
    for checkpoint in list_checkpoints(folder):
        if not checkpoint.has_optimizer:
            num_weights_only += 1
            continue
        try:
            verify(checkpoint)
        except CheckpointError as error:
            damaged += 1
            warn(f"{error.message}; falling back to the one before it")
            continue
        return checkpoint
    if damaged or num_weights_only:
        raise CheckpointError(
            f"run {folder.name!r} has no checkpoint to go on from: {damaged} damaged, "
            f"{num_weights_only} with weights only",
            advice="restore a copy, or train under another name",
        )
    return None


def read_weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """The model's tensors, float32.

    Raises:
        CheckpointError: when the file is damaged.
    """
    return _read_tensors(checkpoint, MODEL)


def read_optimizer(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """The optimizer's tensors, float32.

    Raises:
        CheckpointError: when the file is damaged.
    """
    return _read_tensors(checkpoint, OPTIMIZER)


def read_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """The rest of the training state."""
    state: dict[str, Any] = json.loads((checkpoint.path / STATE).read_text(encoding="utf-8"))
    return state


def drop_optimizer(checkpoint: Checkpoint, disk: Disk | None = None) -> None:
    """Keep only the weights: the manifest forgets the optimizer first, then the file goes.

    Raises:
        DiskFullError: when there is no room for the small new manifest; the checkpoint stays as it was.
    """
    disk = disk or Disk()
    files = {name: value for name, value in checkpoint.manifest["files"].items() if name != OPTIMIZER}
    text = json.dumps({**checkpoint.manifest, "files": files}, indent=1)
    new = checkpoint.path / f".{MANIFEST}.new"
    with room_for(new):
        disk.write(new, lambda path: _write_text(path, text))
        disk.flush(new)
        disk.rename(new, checkpoint.path / MANIFEST)
        disk.flush(checkpoint.path)
    disk.remove(checkpoint.path / OPTIMIZER)


def delete(checkpoint: Checkpoint, disk: Disk | None = None) -> None:
    """Delete a checkpoint; its manifest goes first, so that a crash leaves nothing that looks whole."""
    disk = disk or Disk()
    disk.remove(checkpoint.path / MANIFEST)
    disk.flush(checkpoint.path)
    disk.remove(checkpoint.path)


def set_aside_damaged(folder: RunFolder, *, after: int) -> list[str]:
    """Rename the checkpoints that were passed over, newer than the one training goes on from; gives their old names.

    Under their own names they would count as the newest, and retention would delete sound ones for their sake. Only for
    who holds the trainer's lock.
    """
    damaged = [path for path in _incomplete(folder) if (path / MANIFEST).exists()]
    damaged += [kept.path for kept in list_checkpoints(folder) if kept.has_optimizer and kept.step > after]
    for path in damaged:
        aside = path.with_name(f"{path.name}.damaged")
        if aside.exists():
            shutil.rmtree(aside)
        path.rename(aside)
    return [path.name for path in damaged]


def clear_leftovers(folder: RunFolder) -> None:
    """Delete what interrupted writes, replacements and deletions left behind; only for who holds the trainer's lock.

    A folder without a manifest is a deletion that was cut short; a replaced one is not needed beside its successor.
    """
    if not folder.checkpoints.is_dir():
        return
    whole = {checkpoint.path for checkpoint in list_checkpoints(folder)}
    for path in sorted(folder.checkpoints.iterdir()):
        half_deleted = _FOLDER.fullmatch(path.name) is not None and not (path / MANIFEST).exists()
        superseded = path.name.endswith(".replaced") and path not in whole
        if path.match(".step-*.tmp-*") or half_deleted or superseded:
            shutil.rmtree(path)


def weights_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """The identity of weights, whatever file they stand in.

    Names sorted; for each the JSON of [name, dtype, shape], a newline, then its bytes (little-endian, C order).
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _put_in_place(temporary: Path, final: Path, disk: Disk) -> None:
    replaced = final.with_name(final.name + ".replaced")
    if final.exists():
        if replaced.exists():
            disk.remove(replaced)
        disk.rename(final, replaced)  # still found under this name should the next line never come
    disk.rename(temporary, final)
    disk.flush(final.parent)
    if replaced.exists():
        disk.remove(replaced)


def _open(step: int, path: Path) -> Checkpoint | None:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        whole = manifest["step"] == step and all(
            (path / name).stat().st_size == expected["bytes"] for name, expected in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Checkpoint(step=step, path=path, manifest=manifest) if whole else None


def _incomplete(folder: RunFolder) -> Iterable[Path]:
    """Folders that bear a checkpoint's name and are none."""
    if not folder.checkpoints.is_dir():
        return []
    whole = {checkpoint.path for checkpoint in list_checkpoints(folder)}
    named = (path for path in sorted(folder.checkpoints.iterdir()) if _FOLDER.fullmatch(path.name))
    return [path for path in named if path not in whole and not path.name.endswith(".replaced")]


def _read_tensors(checkpoint: Checkpoint, name: str) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(checkpoint.path / name)
        return tensors
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{checkpoint.path / name} cannot be read: {error}", advice="choose another step, or restore a copy"
        ) from error


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _fingerprint(path: Path) -> dict[str, Any] | None:
    """Length and hash of a file; None when retention has deleted it since."""
    digest, num_bytes = xxhash.xxh3_128(), 0
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                num_bytes += len(block)
    except FileNotFoundError:
        return None
    return {"bytes": num_bytes, "xxh3_128": digest.hexdigest()}


def _discard(temporary: Path) -> None:
    shutil.rmtree(temporary, ignore_errors=True)


def _error_number(error: SafetensorError) -> int:
    """The system's error number out of "... (os error 28)"; 0 when it is another kind of failure."""
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else 0
