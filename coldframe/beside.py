"""Verbs that join the two processes: training with the explorer beside it, the explorer alone, chat in a terminal."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from coldframe.errors import ServeError
from coldframe.run.starting import end_with_parent

if TYPE_CHECKING:
    from coldframe.explore.settings import ExploreSettings
    from coldframe.generate.chat import ChatSettings
    from coldframe.train.session import Progress
    from coldframe.train.verbs import TrainVerb

_READY_SECONDS = 60.0
_log = logging.getLogger("coldframe")


def train_and_explore(verb: TrainVerb, progress: Progress) -> dict[str, Any] | None:
    """Train, with the explorer in a process of its own beside it when that was asked for."""
    from coldframe.train.verbs import settings_of, train_run

    if not verb.explore or os.environ.get("RANK", "0") != "0":  # one explorer, whatever the number of ranks
        return _said_next(verb, train_run(verb, progress))
    explorer = settings_of(verb).explore
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "coldframe",
            "explore",
            "--runs",
            str(verb.runs),
            "--host",
            explorer.host,
            "--port",
            str(explorer.port),
            "--json",
            "--quiet",
        ],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    try:
        _log.info("the explorer is open at %s", _ready_url(process))
        return _said_next(verb, train_run(verb, progress))
    finally:
        process.terminate()
        process.wait(timeout=_READY_SECONDS)


def explore(settings: ExploreSettings) -> None:
    """Serve the explorer until told to end."""
    from coldframe.explore.serve import serve

    serve(settings)


def chat(settings: ChatSettings) -> dict[str, Any] | None:
    """Talk to a run in the terminal, or ask it one thing."""
    from coldframe.generate.chat import chat as talk

    def out(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return talk(settings, out)


def _said_next(verb: TrainVerb, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """The result, after a word on what to type next."""
    if result is not None:
        command = os.path.relpath(sys.argv[0]) if sys.argv[0].endswith("coldframe") else "coldframe"
        where = "" if str(verb.runs) == "runs" else f" --runs {verb.runs}"
        again = "" if result["status"] == "done" else f"{command} train --run {verb.run}{where} goes on; "
        _log.info(
            "next: %s%s chat %s%s talks to it; %s explore%s shows it", again, command, verb.run, where, command, where
        )
    return result


def _ready_url(process: subprocess.Popen[str]) -> str:
    """The address that the explorer says it answers at.

    Raises:
        ServeError: when it ends or stays silent instead; training has not begun.
    """
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _READY_SECONDS)
    line = process.stdout.readline() if readable else ""
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError):
        advice = "train without --explore, or choose another port with --set explore.port=0"
        try:
            error = json.loads(line)["error"]
            raise ServeError(error["message"], advice=error["advice"] or advice) from None
        except (ValueError, KeyError):
            raise ServeError("the explorer did not start", advice=advice) from None
