"""How fast documents are judged on one core, and how much memory that takes: prints JSON.

    python benchmarks/filters.py TEXT... [--kind prose] [--megabytes 40] [--turns 3] [--processes 1 2]

Reads documents from files or folders, then measures in turns, in processor time: the set of shape, quality and
repetition alone, all filters, and the whole verb with reading and writing (`coldframe corpus filter`) on each number of
processes, by the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.filtering import filter_documents
from coldframe.corpus.filters import quality, repetition, shape
from coldframe.corpus.filters.judging import Criteria, judge
from coldframe.corpus.filters.texts import Texts
from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import Source, open_source

BATCH = 1 << 20


def documents_of(paths: Sequence[Path], kind: str, megabytes: float) -> list[Document]:
    """The first documents of the paths, each path the same share of them."""
    found = []
    for path in paths:
        size = 0.0
        for document in open_source(Source(name="measured", kind=kind, path=str(path))).documents(Quarantine()):
            found.append(document)
            size += len(document.text.encode())
            if size > megabytes * 1e6 / len(paths):
                break
    return found


def core_set(documents: Sequence[Document]) -> None:
    """Shape, quality and repetition, batch by batch."""
    batch: list[str] = []
    size = 0
    for document in [*documents, None]:
        if document is not None:
            batch.append(document.text)
            size += len(document.text)
        if batch and (document is None or size >= BATCH):
            texts = Texts(batch)
            shape.measure(texts, 2048)
            quality.measure(texts)
            repetition.measure(texts)
            batch, size = [], 0


def megabytes_per_second(work: Callable[[], object], size: int, turns: int) -> list[float]:
    """Of several turns, in processor time."""
    found = []
    for _ in range(turns):
        began = time.process_time()
        work()
        found.append(round(size / 1e6 / (time.process_time() - began), 2))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="+", type=Path)
    parser.add_argument("--kind", default="prose")
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    documents = documents_of(arguments.text, arguments.kind, arguments.megabytes)
    size = sum(len(document.text.encode()) for document in documents)
    criteria = Criteria(kind=arguments.kind)
    judge(documents[:50], criteria)  # tables are made once
    few = megabytes_per_second(lambda: core_set(documents), size, arguments.turns)
    full = megabytes_per_second(lambda: judge(documents, criteria), size, arguments.turns)
    wall: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for processes in arguments.processes:
            for number, path in enumerate(arguments.text):
                target = Path(folder) / f"{number}"
                ingest(Source(name="measured", kind=arguments.kind, path=str(path)), target)
                for old in target.glob("attributes/*"):
                    old.unlink()
                for old in target.glob(".filter*"):
                    old.unlink()
                began = time.monotonic()
                result = filter_documents(target, criteria, processes=processes)
                seconds = time.monotonic() - began
                wall[processes] = wall.get(processes, 0.0) + seconds
                del result
    print(json.dumps({
        "kind": arguments.kind, "documents": len(documents), "megabytes": round(size / 1e6, 2),
        "shape_quality_repetition": few, "all_filters": full,
        "median": {"shape_quality_repetition": statistics.median(few), "all_filters": statistics.median(full)},
        "verb_wall_seconds": {str(processes): round(seconds, 2) for processes, seconds in wall.items()},
        "peak_memory_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_memory_of_a_worker_megabytes": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
