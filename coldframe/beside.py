"""Verbs that join the two processes: training with the explorer beside it, the explorer alone, chat in a terminal."""

from __future__ import annotations

import errno
import json
import logging
import os
import select
import socket
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
    port = explorer.port
    if _is_taken(explorer.host, port):
        _log.warning("port %d on %s cannot be had; the explorer takes a free one", port, explorer.host)
        port = 0
    command = [sys.executable, "-m", "coldframe", "explore", "--runs", str(verb.runs), "--host", explorer.host]
    with subprocess.Popen(
        [*command, "--port", str(port), "--json", "--quiet"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    ) as process:
        try:
            _log.info("the explorer is open at %s", _ready_url(process))
            return _said_next(verb, train_run(verb, progress))
        finally:
            process.terminate()


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


def _is_taken(host: str, port: int) -> bool:
    """Whether somebody else listens on a port, or it is not for us; what is wrong with a host, the explorer says."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def _ready_url(process: subprocess.Popen[str]) -> str:
    """The address that the explorer says it answers at.

    Raises:
        ServeError: when it ends or stays silent instead; training has not begun.
    """
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _READY_SECONDS)
    line = process.stdout.readline() if readable else ""
    try:
        said = json.loads(line)
        if "url" in said:
            return str(said["url"])
        why = f"the explorer did not start: {said['error']['message']}"
    except (ValueError, KeyError):
        why = "the explorer did not start"
    raise ServeError(why, advice="train without --explore, or with --set explore.host=127.0.0.1")
