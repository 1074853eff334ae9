"""Requests to a run: one JSON file each, put there whole by anyone, taken by the trainer between two steps.

A request is only a wish. What became of it stands in run.db's `outcomes`, written by the act itself.
"""

from __future__ import annotations

import json
import math
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from coldframe.errors import RequestError, UsageError, did_you_mean
from coldframe.run.durable import room_for
from coldframe.run.paths import RunFolder
from coldframe.settings import MOST_STEPS

#: Verb -> names of the arguments it may carry.
VERBS: Mapping[str, tuple[str, ...]] = {
    "pause": (),
    "resume": (),
    "checkpoint": (),
    "stop": (),
    "extend": ("num_steps",),
}
_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something that somebody wants of a run."""

    id: str
    verb: str
    arguments: Mapping[str, int | float | str] = field(default_factory=dict)
    by: str = "user"
    why: str = ""
    time: float = 0.0


def new_request(verb: str, arguments: Mapping[str, int | float | str], *, by: str = "user", why: str = "") -> Request:
    """A request with an id that sorts by time.

    Raises:
        UsageError: for an unknown verb, an unknown argument or a value that makes no sense.
    """
    now = time.time()
    request = Request(
        id=f"{now:017.6f}-{uuid.uuid4().hex[:8]}", verb=verb, arguments=dict(arguments), by=by, why=why, time=now
    )
    check_request(request)
    return request


def check_request(request: Request) -> None:
    """Refuse a request that makes no sense to any run.

    Raises:
        UsageError: with what was wrong.
    """
    if request.verb not in VERBS:
        raise UsageError(f"unknown request {request.verb!r}", advice=did_you_mean(request.verb, VERBS))
    unknown = sorted(set(request.arguments) - set(VERBS[request.verb]))
    if unknown:
        raise UsageError(
            f"{request.verb} does not take {unknown[0]!r}", advice=did_you_mean(unknown[0], VERBS[request.verb])
        )
    if request.verb == "extend":
        num_steps = request.arguments.get("num_steps")
        if not isinstance(num_steps, int) or isinstance(num_steps, bool) or not 0 < num_steps <= MOST_STEPS:
            raise UsageError(
                f"extend needs a whole number of steps from 1 to {MOST_STEPS:,}, not {_shown(num_steps)}",
                advice="give the new total, for example --steps 20000",
            )


def send(folder: RunFolder, request: Request) -> None:
    """Put a request where the trainer finds it, whole or not at all."""
    folder.requests.mkdir(parents=True, exist_ok=True)
    temporary = folder.requests / f".{request.id}.tmp"
    with room_for(temporary):
        temporary.write_text(json.dumps(asdict(request)), encoding="utf-8")
        os.replace(temporary, folder.requests / f"{request.id}.json")


def waiting(folder: RunFolder) -> list[Path]:
    """The files of the requests that wait, oldest first; cheap enough to be asked between any two steps."""
    try:
        with os.scandir(folder.requests) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".json") and entry.is_file()]
    except FileNotFoundError:
        return []
    return [folder.requests / name for name in sorted(names) if not name.startswith(".")]


def read(path: Path) -> Request:
    """Read one request.

    Raises:
        RequestError: when the file is not a request that makes sense; the file's stem then names it.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        record = json.loads(path.read_text(encoding="utf-8"))
        request = Request(
            id=str(record["id"]),
            verb=str(record["verb"]),
            arguments=dict(record.get("arguments") or {}),
            by=str(record.get("by", "user")),
            why=str(record.get("why", "")),
            time=float(record.get("time", 0.0)),
        )
        "".join((request.id, request.by, request.why)).encode()  # half of a character cannot be recorded
        if not math.isfinite(request.time):
            raise ValueError(f"its time is {request.time}")
    except FileNotFoundError:
        raise  # withdrawn
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise RequestError(
            f"{path.name!r} is not a request: {_shown(error)}", advice="see docs/run-folder.md for its fields"
        ) from error
    try:
        check_request(request)
    except UsageError as error:
        raise RequestError(error.message, advice=error.advice) from error
    return request


def _shown(value: object) -> str:
    """A value from who knows where, short and on one line."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def withdraw(folder: RunFolder, request: Request) -> bool:
    """Take a request back; False when somebody has taken it already."""
    try:
        (folder.requests / f"{request.id}.json").unlink()
        return True
    except FileNotFoundError:
        return False
