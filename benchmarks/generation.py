"""Generation speed on a CPU, beside a peer's on the same work, in turns. Prints JSON.

    python benchmarks/generation.py --depth 6 [--threads 1] [--peer PATH_TO_NANOCHAT] [--turns 5]

Same work: heads of 64, context 512, vocabulary 8,192, random weights in float32, temperature 0.8, through each system's
own engine as its users call it: a prompt goes in, tokens come out one by one. The first token is timed from the call,
speed over the tokens after it. Every turn is a process of its own; within it the first answer is left out and the
median counts. On one thread, processor time is measured, which a noisy machine disturbs least; on more, the clock.
Nothing of the peer is part of coldframe: it is imported from its own checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

CONTEXT, VOCABULARY, TOKENS, BATCH = 512, 8192, 128, 8
PROMPTS = (10, 256)
FIGURES = ("first_token_ms_after_10", "first_token_ms_after_256", "tokens_per_second", "tokens_per_second_batch_8")
#: A prompt's length and a number of rows in; after each step of all rows, nothing in particular out.
Speak = Callable[[int, int], Iterator[object]]


def main() -> None:
    """Run turns and print medians and their ratios, or (inside a turn) one measurement."""
    arguments = _arguments()
    if arguments.role:
        print(json.dumps(_turn(arguments)))
        return
    turns: dict[str, list[dict[str, float]]] = {"coldframe": []} | ({"peer": []} if arguments.peer else {})
    for _ in range(arguments.turns):
        for role in turns:
            turns[role].append(_run_turn(role, arguments))
    result: dict[str, Any] = {
        "depth": arguments.depth,
        "threads": arguments.threads,
        "machine": platform.processor() or platform.machine(),
        "clock": "processor" if arguments.threads == 1 else "wall",
        "turns": turns,
    }
    for role, measured in turns.items():
        result[role] = {name: round(statistics.median(turn[name] for turn in measured), 3) for name in FIGURES}
    if "peer" in result:
        result["ratio"] = {name: round(result["coldframe"][name] / result["peer"][name], 3) for name in FIGURES}
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--answers", type=int, default=5)
    parser.add_argument("--peer", default="")
    parser.add_argument("--role", choices=("coldframe", "peer"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_turn(role: str, arguments: argparse.Namespace) -> dict[str, float]:
    numbers = [f"--{name}={getattr(arguments, name)}" for name in ("depth", "threads", "answers", "peer")]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run(
        [sys.executable, __file__, "--role", role, *numbers],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    if done.returncode:
        raise SystemExit(f"{role} failed:\n{done.stderr[-3000:]}")
    turn: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return turn


def _turn(arguments: argparse.Namespace) -> dict[str, float]:
    speak = _coldframe(arguments) if arguments.role == "coldframe" else _peer(arguments)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    figures: dict[str, float] = {}
    for length in PROMPTS:
        measured = [_measure(speak, length, 1, clock) for _ in range(arguments.answers + 1)][1:]
        figures[f"first_token_ms_after_{length}"] = 1000 * statistics.median(first for first, _ in measured)
        if length == PROMPTS[0]:
            figures["tokens_per_second"] = statistics.median(speed for _, speed in measured)
    measured = [_measure(speak, PROMPTS[0], BATCH, clock) for _ in range(3)][1:]
    figures["tokens_per_second_batch_8"] = BATCH * statistics.median(speed for _, speed in measured)
    return figures


def _measure(speak: Speak, length: int, rows: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Seconds until the first step, and steps a second after it."""
    began = clock()
    steps = speak(length, rows)
    next(steps)
    first = clock()
    count = sum(1 for _ in steps)
    return first - began, count / (clock() - first)


def _coldframe(arguments: argparse.Namespace) -> Speak:
    import torch

    from coldframe.generate.engine import Engine
    from coldframe.generate.load import build_model
    from coldframe.generate.sampling import Sampling
    from coldframe.model.sizes import sizes_of_depth
    from coldframe.model.transformer import Transformer
    from coldframe.tokens.tokenizer import SPECIALS, Tokenizer

    torch.set_num_threads(arguments.threads)
    sizes = sizes_of_depth(arguments.depth, vocab_size=VOCABULARY, context=CONTEXT, head_dim=64)
    trained = Transformer(sizes)
    trained.initialise(0)
    engine = Engine(
        build_model(sizes, trained.state_dict(), torch.device("cpu")), _tokenizer(Tokenizer, VOCABULARY - len(SPECIALS))
    )
    generator = torch.Generator().manual_seed(0)
    sampling = Sampling(temperature=0.8, max_tokens=TOKENS)

    def speak(length: int, rows: int) -> Iterator[object]:
        prompt = torch.randint(256, VOCABULARY // 2, (length,), generator=generator).tolist()
        if rows == 1:
            return engine.stream(prompt, sampling)
        return _by_steps(engine, [prompt] * rows, sampling)

    return speak


def _by_steps(engine: Any, prompts: list[list[int]], sampling: Any) -> Iterator[object]:
    """`generate` gives answers only when they are whole, so the time of its first step is taken from one token."""
    import dataclasses

    engine.generate(prompts, dataclasses.replace(sampling, max_tokens=1))
    yield None
    made = engine.generate(prompts, sampling)
    yield from range(max(len(one.tokens) for one in made))


def _tokenizer(kind: Any, num_tokens: int) -> Any:
    """A vocabulary of bytes and pairs of bytes; what the tokens stand for costs next to nothing here."""
    pairs = [bytes([first, second]) for first in range(256) for second in range(256)]
    return kind([*(bytes([byte]) for byte in range(256)), *pairs[: num_tokens - 256]])


def _peer(arguments: argparse.Namespace) -> Speak:
    sys.path.insert(0, arguments.peer)
    import torch
    from nanochat.engine import Engine  # type: ignore[import-not-found]
    from peer import peer_model

    torch.set_num_threads(arguments.threads)
    model = peer_model(arguments.peer, depth=arguments.depth, context=CONTEXT, vocab_size=VOCABULARY)
    model.eval()

    class Specials:
        """What the engine asks of a tokenizer; no special token ever ends an answer here."""

        def encode_special(self, name: str) -> int:
            return -1

        def get_bos_token_id(self) -> int:
            return -1

    engine = Engine(model, Specials())
    generator = torch.Generator().manual_seed(0)

    def speak(length: int, rows: int) -> Iterator[object]:
        prompt = torch.randint(256, VOCABULARY // 2, (length,), generator=generator).tolist()
        steps: Iterator[object] = engine.generate(prompt, rows, max_tokens=TOKENS, temperature=0.8)
        return steps

    return speak


if __name__ == "__main__":
    main()
