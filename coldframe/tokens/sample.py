"""The text that a tokenizer learns from: a capped sample of every source, the same each time."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterator, Sequence

import numpy as np
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
    order of its files. Budgets rest on the text itself, as a file may hold far more than that, or be compressed. The
    text is read twice, so that no more than a passage of it is ever in memory.
    """
    progress_of = _shared_progress([source.num_bytes for source, _ in sources], progress)
    sizes = [_Sizes(_training_texts(source, bound, progress_of[0][at])) for at, (source, bound) in enumerate(sources)]
    budgets = sample_budgets([of_source.total for of_source in sizes], total)
    for at, (source, bound) in enumerate(sources):
        pick_to = sizes[at].pick_to(budgets[at])
        for text in _training_texts(source, bound, progress_of[1][at]):
            if _pick(text) <= pick_to:
                yield text


def _pick(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"), _SEED)


class _Sizes:
    """How long each text is, under its hash: all that has to be known to choose."""

    def __init__(self, texts: Iterator[str]) -> None:
        hashes, lengths = array("Q"), array("I")
        for text in texts:
            hashes.append(_pick(text))
            lengths.append(len(text))
        self._hashes, self._lengths = np.array(hashes, dtype=np.uint64), np.array(lengths, dtype=np.int64)
        self.total = int(self._lengths.sum())

    def pick_to(self, budget: int) -> int:
        """The highest hash to take, so that at least `budget` characters are taken, or all; -1 for none."""
        if budget <= 0 or not len(self._hashes):
            return -1
        order = np.argsort(self._hashes)
        last = int(np.searchsorted(np.cumsum(self._lengths[order]), budget))
        return int(self._hashes[order[min(last, len(order) - 1)]])


def _shared_progress(sizes: Sequence[int], progress: Callable[[float], None]) -> list[list[Callable[[int], None]]]:
    """For each of the two readings, for each source, what to tell the characters read to."""
    whole = max(1, 2 * sum(sizes))
    before = 0
    told: list[list[Callable[[int], None]]] = [[], []]
    for reading in told:
        for size in sizes:
            reading.append(functools.partial(_tell, progress, before, size, whole))
            before += size
    return told


def _tell(progress: Callable[[float], None], before: int, size: int, whole: int, done: int) -> None:
    progress((before + min(done, size)) / whole)


def _training_texts(source: OpenedSource, bound: int, progress: Callable[[int], None]) -> Iterator[str]:
    """Documents and passages that are not held out; `progress` is told the characters read."""
    read = 0
    for document in source.documents(Quarantine()):
        for text in held_out_texts(document):
            read += len(text)
            if text_hash(text) >= bound:
                yield text
        progress(read)
