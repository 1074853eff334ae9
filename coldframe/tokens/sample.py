"""The text that a tokenizer learns from: a capped sample of every source, the same each time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

import xxhash

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import OpenedSource
from coldframe.tokens.holdout import held_out_texts, text_hash

SAMPLE_CHARACTERS = 50_000_000
"""At most so much text in all: more changes a vocabulary hardly, and takes longer."""
_SEED = 1


def sample_budgets(sizes: Sequence[int], total: int) -> list[int]:
    """How much to take of each source: the same of all, and what a small one leaves over goes to the larger ones."""
    budgets = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda number: sizes[number])
    for place, number in enumerate(order):
        budgets[number] = min(sizes[number], total // (len(order) - place))
        total -= budgets[number]
    return budgets


def training_sample(
    sources: Sequence[tuple[OpenedSource, int]], progress: Callable[[float], None], total: int = SAMPLE_CHARACTERS
) -> Iterator[str]:
    """Documents and passages of the training side of each (source, hold-out bound), about `total` characters in all.

    Of a source that has more than its budget those are taken whose hash is lowest: texts from all of it, whatever the
    order of its files. Budgets rest on the text itself, as a file may hold far more than that, or be compressed.
    """
    amounts = [_characters(source, bound, most=total) for source, bound in sources]
    num_bytes, read_before = sum(source.num_bytes for source, _ in sources), 0
    for (source, bound), budget in zip(sources, sample_budgets(amounts, total), strict=True):

        def watched(done: int, before: int = read_before, most: int = source.num_bytes) -> None:
            progress((before + min(done, most)) / max(1, num_bytes))

        yield from _lowest(_training_texts(source, bound, watched), budget)
        read_before += source.num_bytes


def _characters(source: OpenedSource, bound: int, most: int) -> int:
    """How much text the source's training side has; looked through no further than `most`."""
    amount = 0
    for text in _training_texts(source, bound):
        amount += len(text)
        if amount >= most:
            return most
    return amount


def _training_texts(
    source: OpenedSource, bound: int, progress: Callable[[int], None] = lambda done: None
) -> Iterator[str]:
    """Documents and passages that are not held out; `progress` is told the characters read."""
    read = 0
    for document in source.documents(Quarantine()):
        for text in held_out_texts(document):
            read += len(text)
            if text_hash(text) >= bound:
                yield text
        progress(read)


def _lowest(texts: Iterator[str], budget: int) -> list[str]:
    """Those with the lowest hashes that together have at least `budget` characters, or all; in the hashes' order."""
    kept: list[tuple[int, str]] = []
    size = 0
    for text in texts:
        heapq.heappush(kept, (-xxhash.xxh3_64_intdigest(text.encode("utf-8"), _SEED), text))
        size += len(text)
        while kept and size - len(kept[0][1]) >= budget:
            size -= len(heapq.heappop(kept)[1])
    return [text for _, text in sorted(kept, reverse=True)]
