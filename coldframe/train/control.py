"""What may interrupt training, and what became of it: signals and requests, looked at between two steps."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from coldframe.errors import RequestError
from coldframe.run import requests
from coldframe.run.paths import RunFolder
from coldframe.run.record import Recorder
from coldframe.run.requests import Request

_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do before the next step; rank 0 decides, every rank does it."""

    checkpoint: str = ""
    """Why to write a checkpoint now, or nothing."""
    leave: Literal["", "pause", "stop"] = ""
    extend_to: int | None = None
    extend_request: str = ""
    """The request that asks for it; of several, each has its own turn."""


class StopAsked(KeyboardInterrupt):
    """Somebody asked to stop before there was anything to save."""


def leave_if_asked(folder: RunFolder, earlier: Collection[Path]) -> None:
    """Answer what can be answered while the text is still being prepared; everything else waits for the first step.

    Raises:
        StopAsked: when a stop was asked for, which is then answered.
    """
    if not requests.waiting(folder):
        return
    recorder = Recorder(folder)
    try:
        control = Control(folder, recorder, earlier)
        if control.decide().leave == "stop":
            control.answer("stop", "applied", "stopped before the first step; what was prepared is kept")
            raise StopAsked
    finally:
        recorder.close()


class Control:
    """Collects what is wanted of the trainer. A handler only sets a flag; the loop acts."""

    def __init__(self, folder: RunFolder, recorder: Recorder, earlier: Collection[Path] = ()) -> None:
        """`earlier` are the requests that waited when this trainer took the lock: they were asked of another one."""
        self.folder, self.recorder = folder, recorder
        self._earlier = set(earlier)
        self.checkpoint_wanted = threading.Event()
        self.stop_wanted = threading.Event()
        self._taken: dict[str, tuple[Request, Path]] = {}
        self._stuck: set[Path] = set()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """While inside, SIGUSR1 asks for a checkpoint, SIGTERM and SIGINT for a checkpoint and the end."""
        wanted = {
            signal.SIGUSR1: self.checkpoint_wanted,
            signal.SIGTERM: self.stop_wanted,
            signal.SIGINT: self.stop_wanted,
        }

        def note(number: int, _: FrameType | None) -> None:
            wanted[signal.Signals(number)].set()

        if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
            yield
            return
        before = {number: signal.signal(number, note) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def decide(self, *, paused: bool = False) -> Decision:
        """Take what is waiting. Requests that make no sense now are refused on the spot."""
        for path in requests.waiting(self.folder):
            self._take(path, paused)
        if not paused:
            self._call_off_pause()
        verbs = {request.verb for request, _ in self._taken.values()}
        extend = [request for request, _ in self._taken.values() if request.verb == "extend"]
        leave: Literal["", "pause", "stop"] = ""
        if self.stop_wanted.is_set() or "stop" in verbs:
            leave = "stop"
        elif "pause" in verbs:
            leave = "pause"
        why = "signal" if self.checkpoint_wanted.is_set() else "request" if "checkpoint" in verbs else leave
        self.checkpoint_wanted.clear()
        return Decision(
            checkpoint=why,
            leave=leave,
            extend_to=int(extend[0].arguments["num_steps"]) if extend else None,
            extend_request=extend[0].id if extend else "",
        )

    def wants_to_wake(self) -> bool:
        """While paused: whether somebody asked to go on; refuses or answers everything else."""
        self.decide(paused=True)
        return self._asked("resume")

    def answer(self, verb: str, outcome: Literal["applied", "refused"], detail: str, *, only: str = "") -> None:
        """Record what became of every taken request of a verb, or of `only` one; called once it was done."""
        for request, path in [pair for pair in self._taken.values() if pair[0].verb == verb]:
            if only in ("", request.id):
                self._finish(request, path, outcome, detail)

    def _asked(self, verb: str) -> bool:
        return any(request.verb == verb for request, _ in self._taken.values())

    def _call_off_pause(self) -> None:
        """Who asks to pause and then to go on, before the next step, gets the later wish."""
        if self._asked("resume"):
            self.answer("pause", "refused", "a later request asked to go on, before the run had paused")
            self.answer("resume", "applied", "the run goes on training; it had not paused yet")

    def _take(self, path: Path, paused: bool) -> None:
        if path in self._stuck or any(path == taken for _, taken in self._taken.values()):
            return
        try:
            request = requests.read(path)
        except RequestError as error:
            _log.warning("%s", error)
            name = path.stem.encode(errors="replace").decode()  # any bytes may be a file's name
            self._finish(Request(id=name, verb="unknown"), path, "refused", str(error))
            return
        except FileNotFoundError:  # withdrawn between the look and the reading
            return
        refusal = self._refusal(request, paused)
        if path in self._earlier and request.verb != "extend":
            refusal = "it was asked of an earlier trainer, which ended without taking it"
        elif request.id in self._taken:
            refusal = "another request of the same id waits already"
        if refusal:
            self._finish(request, path, "refused", refusal)
        else:
            self._taken[request.id] = (request, path)

    def _refusal(self, request: Request, paused: bool) -> str:
        if request.verb == "resume" and not paused and not self._asked("pause"):
            return "the run is training already"
        if paused and request.verb in ("pause", "checkpoint"):
            return "the run is paused; it wrote a checkpoint when it paused"
        if paused and request.verb == "extend":
            return "the run is paused: resume it first"
        return ""

    def _finish(self, request: Request, path: Path, outcome: Literal["applied", "refused"], detail: str) -> None:
        self.recorder.outcome(
            request=request.id,
            requested=request.time,
            verb=request.verb,
            arguments=request.arguments,
            by=request.by,
            why=request.why,
            outcome=outcome,
            detail=detail,
        )
        if request.id in self._taken and self._taken[request.id][1] == path:
            del self._taken[request.id]
        self._earlier.discard(path)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._stuck.add(path)  # answered, and not to be answered at every step
            _log.warning("%s cannot be deleted: %s", path, error)
