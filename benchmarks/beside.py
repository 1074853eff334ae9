"""What the explorer costs a trainer beside it, and how soon a half-trained model answers. Prints JSON.

    python benchmarks/beside.py [--depth 4] [--seconds 30] [--turns 3] [--work FOLDER]

A real trainer trains the embedded corpus on every core. In turns of `seconds` the explorer is not there, or it is there
with a run's page open (its event stream read as a browser reads it); the figure is the ratio of the median step speeds.
Then the chat is asked ten times while training goes on, and the time to the first token is taken by the client's clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from coldframe.run.paths import run_folder
from coldframe.run.view import RunView

START_SECONDS, SETTLE_SECONDS, QUESTIONS = 300.0, 3.0, 10


def main() -> None:
    """Train, measure in turns, chat, stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", default="")
    arguments = parser.parse_args()
    runs = Path(arguments.work or tempfile.mkdtemp())
    command = [sys.executable, "-m", "coldframe"]
    trainer = subprocess.Popen(
        [
            *command,
            "train",
            "--run",
            "bench",
            "--depth",
            str(arguments.depth),
            "--runs",
            str(runs),
            "--quiet",
            "--set",
            "plan.total_batch_tokens=2048",
            "--set",
            "train.sample_every=0",
            "--set",
            "train.evaluate_every=0",
            "--set",
            "train.checkpoint_every=100000",
        ],
        stdout=subprocess.DEVNULL,
    )
    view = RunView(run_folder("bench", runs))
    try:
        _wait_for_steps(view, 5)
        alone, beside = [], []
        for _ in range(arguments.turns):
            alone.append(_speed(view, arguments.seconds))
            with _Explorer(command, runs):
                time.sleep(SETTLE_SECONDS)
                beside.append(_speed(view, arguments.seconds))
        with _Explorer(command, runs) as explorer:
            explorer.open_chat()
            first_tokens = [explorer.ask("The ", number) for number in range(QUESTIONS)]
    finally:
        trainer.terminate()
        trainer.wait()
    print(
        json.dumps(
            {
                "depth": arguments.depth,
                "tokens_per_second_alone": alone,
                "tokens_per_second_with_open_page": beside,
                "cost_of_an_open_page": 1 - statistics.median(beside) / statistics.median(alone),
                "first_token_seconds": first_tokens,
                "first_token_seconds_median": statistics.median(first_tokens),
                "first_token_seconds_first_question": first_tokens[0],
            }
        )
    )


class _Explorer:
    """The explorer as a process of its own, with one page's event stream open."""

    def __init__(self, command: list[str], runs: Path) -> None:
        self._process = subprocess.Popen(
            [*command, "explore", "--runs", str(runs), "--port", "0", "--json", "--quiet"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._url = json.loads(self._process.stdout.readline())["url"]
        self._headers = {"origin": self._url.rstrip("/")}
        self._ended = threading.Event()
        self._page = threading.Thread(target=self._read_stream, daemon=True)

    def __enter__(self) -> _Explorer:
        self._page.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.terminate()
        self._process.wait()

    def open_chat(self) -> None:
        """What the page does when it opens: ask for fresh weights, and wait until there are some."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            answer = httpx.post(f"{self._url}runs/bench/chat/lease", json={}, timeout=60, headers=self._headers)
            if answer.is_success and httpx.get(f"{self._url}runs/bench/chat.json").json().get("step") is not None:
                return
            time.sleep(0.5)
        raise SystemExit(f"no weights were published: {answer.text}")

    def ask(self, text: str, seed: int) -> float:
        """Seconds until the first token of an answer."""
        question: dict[str, Any] = {"text": text, "sampling": {"max_tokens": 32, "seed": seed}}
        began = time.perf_counter()
        with httpx.stream(
            "POST", f"{self._url}runs/bench/chat", json=question, timeout=60, headers=self._headers
        ) as answer:
            seconds = None
            for line in answer.iter_lines():
                if line.startswith(("event: error", '{"error"')):
                    raise SystemExit(f"the chat failed: {line}")
                if line.startswith("event: token") and seconds is None:
                    seconds = time.perf_counter() - began
        if seconds is not None:
            return seconds
        raise SystemExit("the chat gave no token")

    def _read_stream(self) -> None:
        try:
            with httpx.stream("GET", f"{self._url}runs/bench/stream", timeout=None) as stream:
                for _ in stream.iter_lines():
                    if self._ended.is_set():
                        return
        except httpx.HTTPError:  # the explorer ended first
            return


def _wait_for_steps(view: RunView, count: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while view.cursor()["steps"] < count:
        if time.monotonic() > deadline:
            raise SystemExit("the trainer did not start")
        time.sleep(0.2)


def _speed(view: RunView, seconds: float) -> float:
    """Median tokens per second of the steps of the next seconds."""
    before = view.cursor()["steps"]
    time.sleep(seconds)
    rows = view.rows("steps", after=before, limit=1_000_000)
    return statistics.median(row["tokens_per_second"] for row in rows)


if __name__ == "__main__":
    main()
