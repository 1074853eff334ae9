"""Measure packing on real text: rows and tokens per second, tokens lost and read twice in an epoch, what rows start at.

    python benchmarks/packing.py NAME=PATH... [--contexts 256 512 2048] [--vocabulary 8192]

PATH is a folder (every .txt, .md and .rst file is a document) or a file or folder of .jsonl (every line is one: its
"text", or all texts of its "turns" or "messages"). Prints one JSON object; the tokenizer is trained here, on a part of
the same text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coldframe.mixture.packing import Packing
from coldframe.mixture.stages import Stage
from coldframe.mixture.stream import Prefetcher, Stream
from coldframe.tokens.tokenizer import Tokenizer

STARTS = ("none", "clause", "line", "sentence", "paragraph", "document")
SAMPLED_ROWS = 4000


class TextSource:
    """Tokenized documents in memory."""

    def __init__(self, name: str, documents: list[list[int]], boundary: npt.NDArray[np.uint8], bos: int) -> None:
        self.name, self.manifest_hash, self.boundary, self.bos = name, f"benchmark-{name}", boundary, bos
        self.document_offsets = np.cumsum([0] + [len(ids) + 1 for ids in documents], dtype=np.int64)
        self.tokens = np.fromiter(itertools.chain.from_iterable([bos, *ids] for ids in documents), dtype=np.uint16)
        self.num_tokens = len(self.tokens)

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint16]:
        return self.tokens[start:stop]

    def read_mask(self, start: int, stop: int) -> None:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--contexts", nargs="+", type=int, default=[256, 512, 2048])
    parser.add_argument("--vocabulary", type=int, default=8192)
    arguments = parser.parse_args()
    texts = {name: list(documents(Path(path))) for name, _, path in (s.partition("=") for s in arguments.sources)}
    sources = tokenized(texts, arguments.vocabulary)
    packed = [measured(source, context) for source in sources for context in arguments.contexts]
    streamed = [stream_speed(sources, context) for context in arguments.contexts]
    print(json.dumps({"packing": packed, "stream": streamed}, indent=1))


def documents(path: Path) -> Iterator[str]:
    """The texts under a path, in the order of their names."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if file.suffix == ".jsonl":
            for line in file.read_text(encoding="utf-8").splitlines():
                yield line_text(json.loads(line))
        elif file.suffix in {".txt", ".md", ".rst"}:
            yield file.read_text(encoding="utf-8", errors="replace")


def line_text(record: dict[str, object]) -> str:
    if isinstance(record.get("text"), str):
        return str(record["text"])
    turns = record.get("turns") or record.get("messages")
    assert isinstance(turns, list), f"neither text, turns nor messages: {sorted(record)}"
    return "\n\n".join(str(turn.get("utterance") or turn.get("content")) for turn in turns)


def tokenized(texts: dict[str, list[str]], vocabulary: int) -> list[TextSource]:
    sample = [text[:200_000] for documents in texts.values() for text in documents[:2000]]
    tokenizer = Tokenizer.train(sample, vocabulary)
    return [
        TextSource(name, [tokenizer.encode(text) for text in documents], tokenizer.boundary, tokenizer.bos)
        for name, documents in texts.items()
    ]


def measured(source: TextSource, context: int) -> dict[str, object]:
    """One epoch of a source: speed by the clock, loss and overlap by counting each token, starts by asking."""
    began = time.perf_counter()
    packing = Packing(source, context=context, seed=1)
    opened = time.perf_counter()
    for k in range(min(packing.rows_per_epoch, SAMPLED_ROWS)):
        packing.row(k)
    seconds = time.perf_counter() - opened
    seen = np.zeros(source.num_tokens, dtype=np.int32)
    starts = np.zeros(len(STARTS), dtype=np.int64)
    for k in range(packing.rows_per_epoch):
        for span in packing.explain(k):
            seen[span.start : span.stop] += 1
        starts[packing.start_strength(k)] += 1
    rows = min(packing.rows_per_epoch, SAMPLED_ROWS)
    return {
        "source": source.name,
        "context": context,
        "documents": len(source.document_offsets) - 1,
        "tokens": source.num_tokens,
        "rows_per_epoch": packing.rows_per_epoch,
        "open_seconds": round(opened - began, 3),
        "microseconds_per_row": round(seconds / rows * 1e6, 1),
        "rows_per_second": round(rows / seconds),
        "tokens_per_second": round(rows * context / seconds),
        "lost_percent": round(100 * float((seen == 0).mean()), 2),
        "overlap_percent": round(100 * float((seen.sum() - (seen > 0).sum()) / source.num_tokens), 2),
        "starts_percent": {
            what: round(100 * float(n / starts.sum()), 1) for what, n in zip(STARTS, starts, strict=True)
        },
    }


def stream_speed(sources: list[TextSource], context: int) -> dict[str, object]:
    """Batches of 16 rows from an even mixture, read ahead by a thread and taken as fast as they come."""
    shares = {source.name: 1 / len(sources) for source in sources}
    stage = Stage(
        start_block=0, shares=shares, sources={s.name: s.manifest_hash for s in sources}, by="plan", why="benchmark"
    )
    stream = Stream(sources, [stage], seed=1, context=context, block_rows=64)
    with Prefetcher(stream, 0, 16) as batches:
        next(batches)
        began, processor = time.perf_counter(), time.process_time()
        for _ in range(200):
            next(batches)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return {
        "context": context,
        "batch_rows": 16,
        "rows_per_second": round(3200 / seconds),
        "cpu_microseconds_per_row": round(processor / 3200 * 1e6, 1),
    }


if __name__ == "__main__":
    main()
