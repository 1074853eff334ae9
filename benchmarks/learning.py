"""Bits per byte after a small budget of tokens: coldframe's automatic settings beside a peer's best hand-set batch.

    python benchmarks/learning.py --text FOLDER [FOLDER ...] --work FOLDER [--depth 4]
        [--tokens 1048576] [--seeds 0 1 2] [--peer PATH_TO_NANOCHAT --peer-batch 1024 2048 4096] [--threads 1]
        [--finished FILE]

Same text, tokenizer (8,192 tokens), rows (context 512, in the same order) and evaluator (document-wise windows of 512
with stride 256, raw bytes) for both. coldframe plans its own batch, rates and schedule from the depth and the horizon;
the peer gets its own dial's rates, decay and schedules, and each of the batches that are given; of these the best mean
counts. Prints JSON. Nothing of the peer is part of coldframe: it is imported from its own checkout.

It takes hours: each run is added to FILE, a JSON line, when it ends, and a run that stands there is not run again, so
that a stopped benchmark is called again with the same line. FILE is for one state of the code.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coldframe.threads import share_the_cores

share_the_cores()

import numpy as np
import torch
from peer import peer_model
from torch import Tensor

from coldframe.corpus.sources import Source, open_sources
from coldframe.evaluate.bits_per_byte import windows_of
from coldframe.hardware import detect
from coldframe.mixture.stream import Stream
from coldframe.model.loss import cross_entropy_rows
from coldframe.model.parallel import Ranks
from coldframe.plan import make_plan
from coldframe.settings import PlanSettings
from coldframe.tokens.prepare import Prepared, prepare
from coldframe.train.allocator import prepare_allocator
from coldframe.train.mixing import first_stage
from coldframe.train.trainer import Trainer, prepare_torch

CONTEXT, STRIDE, VOCABULARY, MICRO_ROWS = 512, 256, 8192, 8
#: What the peer's dial was tuned at: its batch, and target tokens per scaling parameter.
PEER_BATCH, PEER_RATIO, PEER_SCALING = 2**19, 12, 110_100_480


def main() -> None:
    """Train all seeds of both, one after the other."""
    arguments = _arguments()
    sources = [Source(name=Path(path).name, kind="prose", path=path) for path in arguments.text]
    prepared = prepare(*open_sources(sources), folder=Path(arguments.work), vocab_size=VOCABULARY)
    windows = _validation(prepared, arguments.evaluate_bytes)
    finished = _finished(arguments)
    runs = []
    trained: dict[str, Callable[..., Outcome]] = {"coldframe": _coldframe}
    if arguments.peer:
        trained |= {f"peer at {batch}": functools.partial(_peer, batch=batch) for batch in arguments.peer_batch}
    for seed in arguments.seeds:
        for name, train in trained.items():
            key = {"name": name, "seed": seed, "depth": arguments.depth, "tokens": arguments.tokens}
            earlier = next((run for run in finished if key.items() <= run.items()), None)
            if earlier:
                runs.append(earlier)
                continue
            began = time.time()
            details, losses = train(arguments, prepared, sources, seed)
            bits = _bits_per_byte(windows, losses)
            runs.append({**key, "bits_per_byte": bits, "seconds": time.time() - began, **details})
            _note(arguments, runs[-1])
    means = {
        name: statistics.mean(run["bits_per_byte"] for run in runs if run["name"] == name)
        for name in dict.fromkeys(run["name"] for run in runs)
    }
    print(
        json.dumps(
            {
                "date": time.strftime("%Y-%m-%d"),
                "torch": torch.__version__,
                "depth": arguments.depth,
                "tokens": arguments.tokens,
                "context": CONTEXT,
                "stride": STRIDE,
                "validation_bytes": sum(size for _, size in windows),
                "runs": runs,
                "mean_bits_per_byte": means,
            }
        )
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=2**20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate-bytes", type=int, default=300_000)
    parser.add_argument("--finished", help="file of runs that ended; they are not run again")
    parser.add_argument("--peer", default="")
    parser.add_argument("--peer-batch", type=int, nargs="+", default=[2048])
    return parser.parse_args()


def _finished(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    if not arguments.finished or not Path(arguments.finished).exists():
        return []
    return [json.loads(line) for line in Path(arguments.finished).read_text().splitlines()]


def _note(arguments: argparse.Namespace, run: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(run) + "\n")
    if arguments.finished:
        with Path(arguments.finished).open("a") as file:
            file.write(json.dumps(run) + "\n")


Windows = list[tuple[list[tuple[np.ndarray, int]], int]]
Losses = Callable[[Tensor, Tensor], Tensor]
Outcome = tuple[dict[str, Any], Losses]


def _validation(prepared: Prepared, most_bytes: int) -> Windows:
    """Held-out documents of all sources in turn, as ([(window, targets already scored before)], raw bytes)."""
    chosen: Windows = []
    documents = [list(source.validation.documents()) for source in prepared.sources]
    total = 0
    for number in range(max(map(len, documents))):
        for of_source in documents:
            if number < len(of_source) and total < most_bytes:
                ids = of_source[number].ids.astype(np.int64)
                cut = windows_of(len(ids), context=CONTEXT, stride=STRIDE)
                chosen.append(
                    ([(ids[start : start + CONTEXT + 1], skip) for start, skip in cut], of_source[number].num_bytes)
                )
                total += of_source[number].num_bytes
    return chosen


@torch.no_grad()
def _bits_per_byte(documents: Windows, losses: Losses) -> float:
    """One window at a time, so that no padding or neighbour can matter."""
    nats = 0.0
    for windows, _ in documents:
        for ids, skip in windows:
            tokens = torch.from_numpy(ids).unsqueeze(0)
            nats += (
                losses(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()).flatten()[skip:].double().sum().item()
            )
    return nats / math.log(2) / sum(size for _, size in documents)


def _stream(prepared: Prepared, sources: Sequence[Source], seed: int) -> Stream:
    stage = first_stage(prepared.sources, {source.name: source for source in sources})
    return Stream(prepared.sources, [stage], seed=seed, context=CONTEXT, block_rows=64)


def _coldframe(arguments: argparse.Namespace, prepared: Prepared, sources: Sequence[Source], seed: int) -> Outcome:
    prepare_allocator()
    settings = PlanSettings(
        depth=arguments.depth,
        context=CONTEXT,
        vocab_size=VOCABULARY,
        device="cpu",
        num_tokens=float(arguments.tokens),
        threads=arguments.threads,
    )
    plan = make_plan(settings, detect("cpu"), seed=seed).plan
    prepare_torch(plan)
    trainer, stream = Trainer(plan, Ranks(), horizon=lambda step: plan.num_steps), _stream(prepared, sources, seed)
    for step in range(plan.num_steps):
        trainer.step(stream.batch(step * plan.batch_rows, plan.batch_rows))

    def losses(tokens: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy_rows(trainer.model.hidden(tokens).flatten(0, 1), trainer.model.head, targets.flatten())

    return {"batch": plan.total_batch_tokens, "steps": plan.num_steps}, losses


def _peer(
    arguments: argparse.Namespace, prepared: Prepared, sources: Sequence[Source], seed: int, *, batch: int
) -> Outcome:

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(seed)
    model = peer_model(arguments.peer, depth=arguments.depth, context=CONTEXT, vocab_size=VOCABULARY)
    scale = math.sqrt(batch / PEER_BATCH)
    scaling = sum(p.numel() for p in model.transformer.h.parameters()) + model.lm_head.weight.numel()
    decay = 0.28 * scale * PEER_SCALING / scaling
    optimizer = model.setup_optimizer(
        unembedding_lr=0.008 * scale,
        embedding_lr=0.3 * scale,
        matrix_lr=0.02 * scale,
        scalar_lr=0.5 * scale,
        weight_decay=decay,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    steps, rows = arguments.tokens // batch, batch // CONTEXT
    stream, compiled = _stream(prepared, sources, seed), torch.compile(model, dynamic=False)
    for step in range(steps):
        tokens = torch.from_numpy(stream.batch(step * rows, rows).tokens).long()
        for part in tokens.split(MICRO_ROWS):
            loss = compiled(part[:, :-1].contiguous(), part[:, 1:].contiguous())
            (loss * len(part) / rows).backward()
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * _peer_rate(step, steps)
            if group["kind"] == "muon":
                group["momentum"] = 0.85 + 0.12 * min(step / 400, 1.0)
                group["weight_decay"] = decay * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.step()
        model.zero_grad(set_to_none=True)
    return {"batch": batch, "steps": steps}, lambda tokens, targets: model(tokens, targets, loss_reduction="none")


def _peer_rate(step: int, steps: int, warm_up: int = 20) -> float:
    """The peer's schedule (flat, then down over the last 65% to 5%) with the short warm-up that suits it best here."""
    if step < warm_up:
        return (step + 1) / warm_up
    down = round(0.65 * steps)
    return 1.0 if step <= steps - down else 0.05 + 0.95 * (steps - step) / down


if __name__ == "__main__":
    main()
