"""A run's weights on disk become a model that can speak."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from coldframe.errors import CheckpointError, RunNotFoundError, TokenizerError
from coldframe.model.sizes import Sizes
from coldframe.model.transformer import Transformer
from coldframe.run.checkpoints import (
    MODEL,
    Checkpoint,
    find_checkpoint,
    list_checkpoints,
    read_weights,
    verify,
    weights_sha256,
)
from coldframe.run.paths import RunFolder
from coldframe.run.published import load_newest, newest
from coldframe.run.view import RunView
from coldframe.tokens.tokenizer import Tokenizer

Which = Literal["live", "best", "newest"] | int
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model in memory, its tokenizer, and which weights it has."""

    model: Transformer
    tokenizer: Tokenizer
    step: int
    weights_sha256: str
    kind: Literal["live", "checkpoint"]


def load_model(folder: RunFolder, which: Which = "newest", device: torch.device | str = "cpu") -> Loaded:
    """Load a run's weights; needs no trainer.

    live: the newest published weights. newest: those or the newest checkpoint, whichever is of the later step.
    best: the checkpoint with the lowest bits per byte. A number: the checkpoint of that step.

    Raises:
        RunNotFoundError: when there is no run in the folder.
        TokenizerError: when the run's tokenizer is missing, damaged or of another vocabulary.
        CheckpointError: when there are no such weights, or they are damaged or of another shape.
    """
    if folder.is_there and not folder.exists:
        raise CheckpointError(f"run {folder.name!r} is still being prepared", advice="wait for its first checkpoint")
    if not folder.exists:
        raise RunNotFoundError(f"there is no run in {folder.path}", advice="check the name and --runs FOLDER")
    view = RunView(folder)
    try:
        plan = view.plan()
        sizes = sizes_of_run(plan, folder.name)
        tokenizer = Tokenizer.load(folder.tokenizer)
        if tokenizer.vocab_size != sizes.vocab_size:
            raise TokenizerError(
                f"run {folder.name!r} has a vocabulary of {sizes.vocab_size} and a tokenizer of {tokenizer.vocab_size}",
                advice=f"put back the tokenizer that it was trained with at {folder.tokenizer}",
            )
        kind, step, tensors, identity = _weights(view, which)
    finally:
        view.close()
    model = build_model(sizes, tensors, torch.device(device), dtype=_compute_dtype(plan, torch.device(device)))
    return Loaded(
        model=model, tokenizer=tokenizer, step=step, kind=kind, weights_sha256=identity or weights_sha256(tensors)
    )


def sizes_of_run(plan: Mapping[str, Any], name: str) -> Sizes:
    """The model's shape as run.toml states it.

    Raises:
        CheckpointError: when it does not.
    """
    table = plan.get("plan", {})
    try:
        return Sizes(**{item.name: table[item.name] for item in dataclasses.fields(Sizes)})
    except KeyError as missing:
        raise CheckpointError(
            f"run.toml of run {name!r} does not say the model's {missing}", advice="restore the file; weights need it"
        ) from missing


def build_model(
    sizes: Sizes, tensors: Mapping[str, Tensor], device: torch.device, *, dtype: torch.dtype = torch.float32
) -> Transformer:
    """A model of these weights, laid out for speaking.

    Raises:
        CheckpointError: when names or shapes differ from the model's.
    """
    with torch.device("meta"):
        model = Transformer(sizes, backend="blocked" if device.type == "cpu" else "fused", compute_dtype=dtype)
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise CheckpointError(
            f"the weights do not have the shape that run.toml says: {', '.join(different[:3])}"
            + (f" and {len(different) - 3} more" if len(different) > 3 else ""),
            advice="weights and run.toml are of two runs; restore the one that was replaced",
        )
    as_float = {name: tensor.to(device, torch.float32) for name, tensor in tensors.items()}
    model.load_state_dict(as_float, assign=True)
    model.requires_grad_(False).eval()
    lay_out(model)
    return model


def lay_out(model: Transformer) -> None:
    """Put weights as the multiplication of one row by a matrix reads them fastest; no number changes on a CPU.

    On a CPU reading the weights is most of the time of a token. A matrix with at least as many outputs as inputs is
    stored input by input: BLAS then adds up whole columns, and reads it about twice as fast as when it takes a dot
    product for each output. All stand end to end in memory from numpy, which asks the system for large pages (figures
    in docs/generate.md). Elsewhere they are cast once to the type that the model computes in, not at every token.
    """
    places = [(model, "head"), *((layer, name) for layer in model.layers for name in ("qkv", "output", "up", "down"))]
    matrices = [getattr(module, name).detach() for module, name in places]
    if model.head.device.type == "cpu" and model.compute_dtype == torch.float32:
        room = torch.from_numpy(np.empty(sum(matrix.numel() for matrix in matrices), dtype=np.float32))
        parts = room.split([matrix.numel() for matrix in matrices])
        laid = [_laid(matrix, part) for matrix, part in zip(matrices, parts, strict=True)]
    else:
        laid = [matrix.to(model.compute_dtype) for matrix in matrices]
    for (module, name), matrix in zip(places, laid, strict=True):
        setattr(module, name, torch.nn.Parameter(matrix, requires_grad=False))


def _laid(matrix: Tensor, part: Tensor) -> Tensor:
    """The matrix, copied into its part of memory."""
    num_outputs, num_inputs = matrix.shape
    if num_outputs >= num_inputs:
        return part.view(num_inputs, num_outputs).t().copy_(matrix)
    return part.view(num_outputs, num_inputs).copy_(matrix)


def newest_kind(view: RunView) -> Literal["live", "checkpoint"] | None:
    """Whether published weights or a checkpoint are of the later step; None while there is neither."""
    published, checkpoints = newest(view), list_checkpoints(view.folder)
    if published is not None and (not checkpoints or published.step >= checkpoints[0].step):
        return "live"
    return "checkpoint" if checkpoints else None


def _weights(view: RunView, which: Which) -> tuple[Literal["live", "checkpoint"], int, dict[str, Tensor], str | None]:
    if which == "live" or (which == "newest" and newest_kind(view) == "live"):
        found = load_newest(view)
        if found is not None:
            return "live", found[0].step, found[1], None
        if which == "live":
            raise CheckpointError(
                f"run {view.folder.name!r} has published no weights",
                advice="they are published while it trains and somebody reads; use its newest checkpoint instead",
            )
    if isinstance(which, int):
        return _read(find_checkpoint(view.folder, which))
    if which == "best":
        return _read(_best(view))
    return _read_newest(view.folder)


def _read(checkpoint: Checkpoint) -> tuple[Literal["live", "checkpoint"], int, dict[str, Tensor], str | None]:
    verify(checkpoint, (MODEL,))
    return "checkpoint", checkpoint.step, read_weights(checkpoint), checkpoint.weights_sha256


def _read_newest(folder: RunFolder) -> tuple[Literal["live", "checkpoint"], int, dict[str, Tensor], str | None]:
    """The newest checkpoint that is sound; says which damaged ones were passed over."""
    known = list_checkpoints(folder)
    for checkpoint in known:
        try:
            return _read(checkpoint)
        except CheckpointError as error:
            _log.warning("%s; falling back to the one before it", error.message)
    if known:
        raise CheckpointError(f"every checkpoint of run {folder.name!r} is damaged", advice="restore a copy")
    raise CheckpointError(
        f"run {folder.name!r} has no checkpoint yet",
        advice=f"wait for its first one, or ask for one: coldframe checkpoint {folder.name}",
    )


def _best(view: RunView) -> Checkpoint:
    """The checkpoint with the lowest bits per byte among those that are still there."""
    by_folder = {checkpoint.path.name: checkpoint for checkpoint in list_checkpoints(view.folder)}
    newest_rows = "SELECT MAX(id) FROM checkpoints GROUP BY folder"  # a step that was trained again
    for row in view.query(
        f"SELECT folder FROM checkpoints WHERE id IN ({newest_rows}) AND val_bpb IS NOT NULL ORDER BY val_bpb, id DESC"
    ):
        if row["folder"] in by_folder:
            return by_folder[row["folder"]]
    raise CheckpointError(
        f"run {view.folder.name!r} has no checkpoint whose bits per byte were measured",
        advice="use its newest checkpoint, or wait for an evaluation",
    )


def _compute_dtype(plan: Mapping[str, Any], device: torch.device) -> torch.dtype:
    """What the run computed in on a GPU; float32 on a CPU."""
    in_bfloat16 = device.type != "cpu" and plan.get("plan", {}).get("dtype") == "bfloat16"
    return torch.bfloat16 if in_bfloat16 else torch.float32
