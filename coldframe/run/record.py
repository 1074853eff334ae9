"""What the trainer writes into run.db: the one writer's side of the run folder."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from coldframe.run.paths import RunFolder
from coldframe.run.schema import GROUPS, RUN_MIGRATIONS, open_database, room_in_database

Level = Literal["info", "warning", "error"]
Json = Mapping[str, object]
Value = str | int | float | None
_STEP_COLUMNS = (
    "step",
    "train_loss",
    "learning_rate",
    "grad_norm",
    "clip_scale",
    "num_tokens",
    "next_row",
    "seconds",
    "tokens_per_second",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One optimizer step, as the charts show it."""

    step: int
    train_loss: float
    learning_rate: float
    grad_norm: float
    clip_scale: float
    num_tokens: int
    next_row: int
    seconds: float
    tokens_per_second: float
    grad_norms: Mapping[str, float] = field(default_factory=dict)
    update_norms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What the hardware says; None is "not measured"."""

    memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    utilisation: float | None = None
    temperature: float | None = None
    power_watts: float | None = None
    energy_joules: float | None = None
    mfu: float | None = None


class Recorder:
    """Writes the rows of one segment of a run; to be opened only while holding the trainer's lock.

    A segment is an unbroken stretch of training: a start, a resume, a rollback or a fork begins a new one. `step` is
    the step at which things happen, kept up to date by the loop so that every row carries it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._connection = open_database(folder.database, RUN_MIGRATIONS)
        self._path = folder.database
        self._lock = threading.RLock()  # the heartbeat comes from a thread of its own
        self.segment = self._newest_segment()
        self.step = 0

    def begin_segment(
        self,
        *,
        start_step: int,
        reason: str,
        checkpoint: str | None,
        code_version: str,
        environment: Json,
        changed: Json,
        lock_since: float | None = None,
    ) -> int:
        """Open the next segment and give its number."""
        self.segment, self.step = self._newest_segment() + 1, start_step
        self._insert(
            "segments",
            {
                "segment": self.segment,
                "time": time.time(),
                "start_step": start_step,
                "reason": reason,
                "checkpoint": checkpoint,
                "code_version": code_version,
                "environment": json.dumps(environment),
                "changed": json.dumps(changed),
                "lock_since": lock_since,
            },
        )
        return self.segment

    def steps(self, rows: Iterable[StepRow]) -> None:
        """Write finished steps, in one transaction."""
        with self._lock, room_in_database(self._path):
            self._connection.execute("BEGIN")
            try:
                for row in rows:
                    values: dict[str, Value] = {name: getattr(row, name) for name in _STEP_COLUMNS}
                    values |= {f"grad_norm_{group}": row.grad_norms.get(group) for group in GROUPS}
                    values |= {f"update_norm_{group}": row.update_norms.get(group) for group in GROUPS}
                    self._insert("steps", values | {"segment": self.segment, "time": time.time()})
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    self._connection.execute("ROLLBACK")
                raise

    def source_losses(self, losses: Mapping[str, tuple[float | None, int]]) -> None:
        """Write each source's mean training loss (nats a token) and number of target tokens since the last call."""
        for source, (loss, num_tokens) in losses.items():
            self._insert(
                "source_losses",
                {
                    "step": self.step,
                    "segment": self.segment,
                    "source": source,
                    "train_loss": loss,
                    "num_tokens": num_tokens,
                },
            )

    def evaluation(
        self,
        *,
        suite: str,
        source: str,
        metric: str,
        value: float | None,
        low: float | None,
        high: float | None,
        n: int,
        detail: Json,
    ) -> None:
        """Write one figure with its 95% interval and what it was measured on."""
        self._at_step(
            "evals",
            suite=suite,
            source=source,
            metric=metric,
            value=value,
            low=low,
            high=high,
            n=n,
            detail=json.dumps(detail),
        )

    def sample(
        self,
        *,
        prompt: str,
        text: str,
        temperature: float,
        seed: int,
        num_tokens: int,
        loss: float | None,
        perplexity: float | None,
    ) -> None:
        """Write one generated text with its mean loss (nats a token) under the model that wrote it."""
        self._at_step(
            "samples",
            prompt=prompt,
            text=text,
            temperature=temperature,
            seed=seed,
            num_tokens=num_tokens,
            loss=loss,
            perplexity=perplexity,
        )

    def stage(
        self, *, start_block: int, shares: Json, sources: Json, skip_blocks: Iterable[int], by: str, why: str
    ) -> None:
        """Write a stage of the mixture; recorded stages are the authority on what was read."""
        self._at_step(
            "stages",
            start_block=start_block,
            shares=json.dumps(shares),
            sources=json.dumps(sources),
            skip_blocks=json.dumps(list(skip_blocks)),
            by=by,
            why=why,
        )

    def event(self, kind: str, message: str, *, level: Level = "info", detail: Json | None = None) -> None:
        """Write something worth knowing that happened."""
        self._at_step("events", kind=kind, level=level, message=message, detail=json.dumps(detail or {}))

    def outcome(
        self,
        *,
        request: str,
        requested: float,
        verb: str,
        arguments: Json,
        by: str,
        why: str,
        outcome: Literal["applied", "refused"],
        detail: str,
    ) -> None:
        """Write what became of a request; called by the act itself, after it was done or refused.

        An id that was answered before (a file put there twice by hand) is told apart by the time.
        """
        with self._lock:
            known = self._connection.execute("SELECT 1 FROM outcomes WHERE request = ?", (request,)).fetchone()
        self._at_step(
            "outcomes",
            request=f"{request} ({time.time_ns()})" if known else request,
            requested=requested,
            verb=verb,
            arguments=json.dumps(arguments),
            by=by,
            why=why,
            outcome=outcome,
            detail=detail,
        )

    def checkpoint(
        self,
        *,
        folder: str,
        num_bytes: int,
        seconds: float,
        stall_seconds: float,
        weights_sha256: str,
        reason: str,
        val_bpb: float | None,
    ) -> None:
        """Write a checkpoint that is whole on disk."""
        self._at_step(
            "checkpoints",
            folder=folder,
            num_bytes=num_bytes,
            seconds=seconds,
            stall_seconds=stall_seconds,
            weights_sha256=weights_sha256,
            reason=reason,
            contains="whole",
            val_bpb=val_bpb,
        )

    def checkpoint_contains(self, folder: str, contains: Literal["whole", "weights", "nothing"]) -> None:
        """Note what retention left of a checkpoint."""
        with self._lock, room_in_database(self._path):
            self._connection.execute("UPDATE checkpoints SET contains = ? WHERE folder = ?", (contains, folder))

    def checkpoint_scored(self, folder: str, val_bpb: float) -> None:
        """Note the bits per byte that were measured on a checkpoint's weights after it was written."""
        with self._lock, room_in_database(self._path):
            self._connection.execute("UPDATE checkpoints SET val_bpb = ? WHERE folder = ?", (val_bpb, folder))

    def best_checkpoint(self, *, before: int) -> tuple[int | None, float | None]:
        """Step and bits per byte of the best checkpoint up to a step: measured after it was written, so only here."""
        row = self._connection.execute(
            "SELECT step, val_bpb FROM checkpoints WHERE val_bpb IS NOT NULL AND step <= ? ORDER BY val_bpb LIMIT 1",
            (before,),
        ).fetchone()
        return (int(row[0]), float(row[1])) if row else (None, None)

    def published(self, *, file: str, num_bytes: int, reason: str) -> None:
        """Write that weights can be read from a file under live/."""
        self._at_step("published", file=file, num_bytes=num_bytes, reason=reason)

    def published_files(self, newest: int) -> set[str]:
        """Names of the files that were announced last."""
        with self._lock:
            rows = self._connection.execute("SELECT file FROM published ORDER BY id DESC LIMIT ?", (newest,)).fetchall()
        return {str(row[0]) for row in rows}

    def heartbeat(self, status: str, message: str, telemetry: Telemetry) -> None:
        """Write that the trainer lives, what it does, and what the hardware says."""
        self._insert(
            "heartbeats",
            {
                "step": self.step,
                "segment": self.segment,
                "time": time.time(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "status": status,
                "message": message,
                **asdict(telemetry),
            },
        )

    def train_loss_at(self, step: int) -> float | None:
        """The recorded loss of a step, as its newest segment has it."""
        return self._newest_at("steps", "train_loss", step)

    def val_bpb_at(self, step: int) -> float | None:
        """The bits per byte measured on a step's checkpoint; None when they were not."""
        return self._newest_at("checkpoints", "val_bpb", step)

    def _newest_at(self, table: Literal["steps", "checkpoints"], column: str, step: int) -> float | None:
        with self._lock:
            row = self._connection.execute(
                f"SELECT {column} FROM {table} WHERE step = ? ORDER BY id DESC LIMIT 1",  # noqa: S608 (our own names)
                (step,),
            ).fetchone()
        return float(row[0]) if row is not None and row[0] is not None else None

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _newest_segment(self) -> int:
        row = self._connection.execute("SELECT COALESCE(MAX(segment), 0) FROM segments").fetchone()
        return int(row[0])

    def _at_step(self, table: str, **values: Value) -> None:
        self._insert(table, {"step": self.step, "segment": self.segment, "time": time.time(), **values})

    def _insert(self, table: str, values: Mapping[str, Value]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self._lock, room_in_database(self._path):
            self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
