"""`coldframe chat`: one answer, or a conversation in the terminal with a model that may still be learning."""

from __future__ import annotations

import contextlib
import os
import readline  # noqa: F401 (gives input() line editing)
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from coldframe.errors import CheckpointError, ContextFullError, DiskFullError, SettingsError
from coldframe.generate.engine import Emitted, Engine, Session
from coldframe.generate.load import Loaded, Which, load_model, newest_kind
from coldframe.generate.sampling import Sampling
from coldframe.run.leases import LEASE_SECONDS, take_lease
from coldframe.run.lock import holder
from coldframe.run.paths import RunFolder, find_run
from coldframe.run.published import newest
from coldframe.run.view import RunView
from coldframe.tokens.chat import render_prompt

_HELP = "/reset forgets the conversation, /step says which weights speak, Ctrl-C stops an answer, Ctrl-D leaves"
#: How long to wait for a living trainer's first published weights.
_WAIT_SECONDS = 30.0
_MOST_THREADS = 1024
Out = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """Talk to a run, also while it trains."""

    run: tyro.conf.Positional[str]
    """The run's name."""
    step: str = "newest"
    """Which weights: a step's number, live (published while it trains), best (lowest bits per byte), or newest."""
    prompt: Annotated[str | None, tyro.conf.arg(aliases=["-p"])] = None
    """Ask this one thing and leave."""
    raw: bool = False
    """Let the model go on with the text instead of answering it; always so for a run without a chat stage."""
    temperature: float = 0.8
    """0 always takes the most probable token."""
    top_k: int = 0
    """Draw from the k most probable tokens; 0 from all."""
    top_p: float = 1.0
    """Draw from the most probable tokens that together reach this share."""
    min_p: float = 0.0
    """Draw from tokens at least this share as probable as the most probable one."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that were used already become less probable."""
    seed: int | None = None
    """The same seed gives the same answer; without one, each answer is another."""
    max_tokens: int = 256
    """Tokens after which an answer is cut off."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer."""
    threads: int | None = None
    """CPU threads; one while a trainer uses the others, else torch's own number."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    json: bool = False
    """End with one line of JSON on standard output (with --prompt)."""
    quiet: bool = False
    """Nothing but the model's words."""


@dataclass(slots=True, kw_only=True)
class _Talk:
    """A conversation under way."""

    folder: RunFolder
    settings: ChatSettings
    out: Out
    loaded: Loaded
    engine: Engine
    chats: bool
    published: int | None
    session: Session = field(default_factory=Session)
    messages: list[dict[str, object]] = field(default_factory=list)
    text: str = ""
    turns: int = 0


def chat(settings: ChatSettings, out: Out) -> dict[str, Any] | None:
    """Answer one prompt and give what `--json` shows, or talk until the input ends and give nothing.

    Raises:
        RunNotFoundError, CheckpointError, TokenizerError: when there is nothing to talk to.
        ContextFullError: when the prompt is longer than the model's context.
    """
    folder = find_run(settings.run, settings.runs)
    _sampling(settings, 0), _which(settings.step), _check_threads(settings.threads)  # before anything is loaded
    if settings.json and settings.prompt is None:
        raise SettingsError("--json answers one prompt, and there is none", advice="add -p PROMPT")
    with _Lease(folder):
        talk = _open(folder, settings, out)
        if settings.prompt is None:
            _converse(talk)
            return None
        return _answer_once(talk, settings.prompt)


def _open(folder: RunFolder, settings: ChatSettings, out: Out) -> _Talk:
    trains = holder(folder.lock) is not None
    # Beside a trainer one thread: where all cores are taken, threads that wait for each other answer ten times slower.
    threads = settings.threads or (1 if trains else None)
    if threads is not None:
        torch.set_num_threads(threads)
    view = RunView(folder)
    try:
        chats = view.answers() and not settings.raw
        _wait_for_weights(view, settings)
        loaded = load_model(folder, _which(settings.step))
        found = newest(view)
    finally:
        view.close()
    return _Talk(
        folder=folder,
        settings=settings,
        out=out,
        loaded=loaded,
        engine=Engine(loaded.model, loaded.tokenizer),
        chats=chats,
        published=found.id if found else None,
    )


def _wait_for_weights(view: RunView, settings: ChatSettings) -> None:
    """Give a trainer that has just begun the time to publish for us."""
    until = time.monotonic() + _WAIT_SECONDS

    def lacking() -> bool:
        if settings.step == "live":
            return newest(view) is None
        return settings.step == "newest" and newest_kind(view) is None

    while lacking() and holder(view.folder.lock) is not None and time.monotonic() < until:
        time.sleep(0.2)


def _answer_once(talk: _Talk, prompt: str) -> dict[str, Any]:
    began = time.perf_counter()
    first, num_tokens, pieces = 0.0, 0, []
    for emitted in _stream(talk, prompt):
        num_tokens += 1
        first = first or time.perf_counter() - began
        pieces.append(emitted.text)
        if not talk.settings.json:
            talk.out(emitted.text)
    spent = time.perf_counter() - began - first
    if not talk.settings.json:
        talk.out("\n")
    return {
        "text": "".join(pieces),
        "step": talk.loaded.step,
        "num_tokens": num_tokens,
        "time_to_first_token_seconds": round(first, 6),
        "tokens_per_second": round((num_tokens - 1) / spent, 3) if num_tokens > 1 and spent > 0 else None,
    }


def _converse(talk: _Talk) -> None:
    if not talk.settings.quiet:
        talk.out(_introduction(talk) + "\n")
    for line in _lines(talk):
        command = line.strip()
        if command == "/reset":
            _reset(talk)
            _say(talk, "forgotten; this is a new conversation")
        elif command == "/step":
            _refresh(talk)
            _say(talk, _who(talk))
        elif command in ("/help", "/?"):
            _say(talk, _HELP)
        elif command:
            _refresh(talk)
            _turn(talk, line)


def _turn(talk: _Talk, line: str) -> None:
    """One answer, streamed; Ctrl-C stops it, and what was said stays said."""
    said: list[str] = []
    try:
        for emitted in _stream(talk, line):
            said.append(emitted.text)
            talk.out(emitted.text)
            if emitted.finish in ("length", "context") and not talk.settings.quiet:
                why = "max_tokens" if emitted.finish == "length" else "the context is full; /reset begins anew"
                talk.out(f" [cut off: {why}]")
    except KeyboardInterrupt:
        talk.out(" [stopped]")
    except ContextFullError as error:
        _say(talk, str(error) + " (/reset)")
        return
    talk.out("\n")
    talk.turns += 1
    if talk.chats:
        talk.messages += [{"role": "user", "content": line}, {"role": "assistant", "content": "".join(said)}]
    else:
        talk.text = _text_so_far(talk, line) + "".join(said)


def _stream(talk: _Talk, line: str) -> Iterator[Emitted]:
    tokenizer = talk.loaded.tokenizer
    if talk.chats:
        prompt = render_prompt([*talk.messages, {"role": "user", "content": line}], tokenizer)
    else:
        prompt = [tokenizer.bos, *tokenizer.encode(_text_so_far(talk, line))]
    return talk.engine.stream(prompt, _sampling(talk.settings, talk.turns), session=talk.session)


def _text_so_far(talk: _Talk, line: str) -> str:
    """All that was written, without spaces at its end: a word's token begins with its own space."""
    return (f"{talk.text}\n{line}" if talk.text else line).rstrip(" ")


def _refresh(talk: _Talk) -> None:
    """Take newer published weights between turns, when the newest ones were asked for and a trainer lives."""
    if talk.settings.step not in ("newest", "live") or holder(talk.folder.lock) is None:
        return
    view = RunView(talk.folder)
    try:
        found = newest(view)
    finally:
        view.close()
    if found is None or found.id == talk.published or found.step < talk.loaded.step:
        return
    try:
        talk.loaded, talk.published = load_model(talk.folder, "live"), found.id
    except CheckpointError as error:  # one can still talk to the weights that are here
        _say(talk, error.message)
        return
    talk.engine, talk.session = Engine(talk.loaded.model, talk.loaded.tokenizer), Session()
    _say(talk, _who(talk))


def _reset(talk: _Talk) -> None:
    talk.messages, talk.text, talk.session = [], "", Session()


def _introduction(talk: _Talk) -> str:
    manner = (
        "It was taught to answer."
        if talk.chats
        else "It goes on with a text and was not taught to answer: write the beginning of something."
    )
    return f"{_who(talk)}. {manner}\n{_HELP}."


def _who(talk: _Talk) -> str:
    kind = "published by its trainer" if talk.loaded.kind == "live" else "from a checkpoint"
    return f"run {talk.folder.name}, step {talk.loaded.step:,}, {kind}"


def _say(talk: _Talk, text: str) -> None:
    if not talk.settings.quiet:
        talk.out(f"[{text}]\n")


def _lines(talk: _Talk) -> Iterator[str]:
    """What the person writes, line by line, until Ctrl-D; with a prompt sign and line editing only in a terminal."""
    while True:
        try:
            if sys.stdin.isatty():
                yield input("> ")
            elif line := sys.stdin.readline():
                yield line.rstrip("\r\n")
            else:
                return
        except KeyboardInterrupt:  # with no answer under way there is nothing to stop
            talk.out("\n")
        except EOFError:
            talk.out("\n")
            return


def _which(step: str) -> Which:
    if step in ("live", "best", "newest"):
        return step  # type: ignore[return-value]
    if step.isascii() and step.isdecimal():
        return int(step)
    raise SettingsError(f"--step cannot be {step!r}", advice="use a step's number, live, best or newest")


def _check_threads(threads: int | None) -> None:
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise SettingsError(f"--threads cannot be {threads}", advice=f"use 1 to {_MOST_THREADS:,}, or leave it out")


def _sampling(settings: ChatSettings, turn: int) -> Sampling:
    seed = settings.seed + turn if settings.seed is not None else int.from_bytes(os.urandom(4), "little")
    return Sampling(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty,
        seed=seed,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
    )


class _Lease:
    """Asks for fresh weights for as long as the conversation lasts, from a thread of its own."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._ended = folder, threading.Event()
        self._thread = threading.Thread(target=self._prolong, name="lease", daemon=True)

    def __enter__(self) -> None:
        self._take()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _prolong(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 3):
            self._take()

    def _take(self) -> None:
        if holder(self._folder.lock) is not None:  # with nobody training, nobody would publish
            with contextlib.suppress(DiskFullError):  # then the weights get no fresher; one can still talk to them
                take_lease(self._folder, f"chat-{os.getpid()}", "chat", LEASE_SECONDS)
