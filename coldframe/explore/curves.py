"""Step metrics thinned for a chart: buckets that keep their extremes, on all three axes, as JSON or as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from coldframe.errors import UsageError, did_you_mean
from coldframe.run.record import StepRow
from coldframe.run.schema import GROUPS
from coldframe.run.view import RunView, buckets

#: Columns of `steps` that can be charted against its three axes: steps, tokens, hours of training.
COLUMNS = tuple(
    name for name in StepRow.__dataclass_fields__ if name not in ("step", "grad_norms", "update_norms")
) + tuple(f"{kind}_norm_{group}" for kind in ("grad", "update") for group in GROUPS)
#: What the run page draws.
CHARTED = ("train_loss", "learning_rate", "grad_norm", "clip_scale", "tokens_per_second")
#: What drawing those takes: the axes too.
READ = (*CHARTED, "num_tokens", "seconds")
MAX_POINTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Thinned columns; every array has one entry a bucket."""

    axes: dict[str, np.ndarray]
    """Where each bucket begins: step, tokens seen, hours of training (time between steps left out)."""
    columns: dict[str, dict[str, np.ndarray]]
    """Column -> mean, min and max of each bucket; NaN where nothing was measured."""
    num_steps: int
    """Steps that the buckets stand for."""
    last_step: int | None
    """The last of them; None when there is none."""


def curves(view: RunView, columns: Sequence[str], *, start: int | None, end: int | None, points: int) -> Curves:
    """Columns between two steps (both included), in at most `points` buckets.

    Raises:
        UsageError: for an unknown column or a number of points that makes no sense.
    """
    for name in columns:
        if name not in COLUMNS:
            raise UsageError(f"steps has no column {name!r}", advice=did_you_mean(name, COLUMNS))
    if not 1 <= points <= MAX_POINTS:
        raise UsageError(f"{points} points cannot be drawn", advice=f"ask for 1 to {MAX_POINTS}")
    table = view.metrics(tuple(dict.fromkeys((*columns, "num_tokens", "seconds"))))
    hours = np.cumsum(np.nan_to_num(table["seconds"])) / 3600
    low = np.searchsorted(table["step"], start, "left") if start is not None else 0
    high = np.searchsorted(table["step"], end, "right") if end is not None else len(table["step"])
    part = slice(int(low), int(high))
    at = np.arange(part.stop - part.start) if part.stop > part.start else np.empty(0, dtype=np.int64)
    thin = {name: buckets(at, table[name][part], points) for name in columns}
    first = next(iter(thin.values()))["x"] if thin else at
    axes = {"step": table["step"], "tokens": table["num_tokens"], "hours": hours}
    return Curves(
        axes={name: array[part][first].astype(np.float64) for name, array in axes.items()},
        columns={name: {kind: found[kind] for kind in ("mean", "min", "max")} for name, found in thin.items()},
        num_steps=len(at),
        last_step=int(table["step"][part][-1]) if len(at) else None,
    )


def as_json(found: Curves) -> bytes:
    """The curves as one JSON object; NaN becomes null."""
    return orjson.dumps(
        {"num_steps": found.num_steps, "last_step": found.last_step, "axes": found.axes, "columns": found.columns},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def as_bytes(found: Curves) -> bytes:
    """The curves as bytes, for the charts: about a third of the JSON, and nothing to parse.

    Little-endian: uint32 length of a JSON header, the header padded with spaces so that what follows begins at a
    multiple of 8, then one float64 array per axis, then one float32 array each for mean, min and max per column.
    """
    num_points = len(found.axes["step"])
    header = orjson.dumps(
        {
            "num_steps": found.num_steps,
            "last_step": found.last_step,
            "num_points": num_points,
            "axes": list(found.axes),
            "columns": [f"{name}.{kind}" for name, kinds in found.columns.items() for kind in kinds],
        }
    )
    header += b" " * (-(len(header) + 4) % 8)
    arrays = [array.astype("<f8").tobytes() for array in found.axes.values()]
    arrays += [array.astype("<f4").tobytes() for kinds in found.columns.values() for array in kinds.values()]
    return b"".join([struct.pack("<I", len(header)), header, *arrays])


def sparkline(view: RunView, points: int = 60) -> list[tuple[int, float]]:
    """A run's loss in about `points` places, from rows picked by their ids: cheap however long the run is.

    Rows that a later segment trained anew are left out.
    """
    newest = view.cursor()["steps"]
    if not newest:
        return []
    picked = np.unique(np.linspace(1, newest, 4 * points).astype(np.int64)).tolist()
    rows = view.query(
        "SELECT step, segment, train_loss FROM steps WHERE train_loss IS NOT NULL"
        " AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (orjson.dumps(picked).decode(),),
    )
    starts = {row["segment"]: row["start_step"] for row in view.rows("segments")}
    kept = [
        row
        for row in rows
        if not any(later > row["segment"] and row["step"] > start for later, start in starts.items())
    ]
    if not kept:
        return []
    step = np.array([row["step"] for row in kept])
    thin = buckets(step, np.array([row["train_loss"] for row in kept]), points)
    return [(int(x), round(float(y), 4)) for x, y in zip(thin["x"], thin["mean"], strict=True) if np.isfinite(y)]
