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
DOCUMENT_CHARACTERS = 200_000
"""A longer document has no more weight than one of so many, as long as the others of its source have text to give."""
_SEED = 1
_ROOM = 1 << 16


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

    Of a source that has more than its budget those are taken whose hash is lowest, times how much too long their
    document is: texts from all of it, whatever the order of its files. Budgets rest on the text itself, as a file may
    hold far more than that, or be compressed. The text is read twice, so that no more than a document of it, and a
    number for each text that may be taken, is ever in memory.
    """
    progress_of = _shared_progress([source.num_bytes for source, _ in sources], progress)
    lowest = [
        _Lowest(_training_texts(source, bound, progress_of[0][at]), total) for at, (source, bound) in enumerate(sources)
    ]
    budgets = sample_budgets([of_source.total for of_source in lowest], total)
    for at, (source, bound) in enumerate(sources):
        pick_to = lowest[at].pick_to(budgets[at])
        for rank, text in _training_texts(source, bound, progress_of[1][at]):
            if rank <= pick_to:
                yield text


def texts_of(source: OpenedSource) -> Iterator[str]:
    """All documents and passages of a source."""
    for document in source.documents(Quarantine()):
        yield from held_out_texts(document)


def _pick(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"), _SEED)


class _Lowest:
    """How long the texts are that come first and make up `most` characters, under their ranks, and how long all are.

    What it holds grows with `most`, not with the text that is read.
    """

    def __init__(self, texts: Iterator[tuple[float, str]], most: int) -> None:
        self.total = 0
        self._ranks, self._lengths = np.empty(0, np.float64), np.empty(0, np.int64)
        ranks, lengths, bound, room = array("d"), array("q"), np.inf, _ROOM
        for rank, text in texts:
            self.total += len(text)
            if rank <= bound:
                ranks.append(rank)
                lengths.append(len(text))
            if len(ranks) >= room:
                bound = self._take(ranks, lengths, most)
                ranks, lengths, room = array("d"), array("q"), max(_ROOM, len(self._ranks))
        self._take(ranks, lengths, most)

    def _take(self, ranks: array[float], lengths: array[int], most: int) -> float:
        """Add texts, keep no more than are needed; gives the rank beyond which none is."""
        all_ranks = np.concatenate([self._ranks, np.array(ranks, np.float64)])
        order = np.argsort(all_ranks, kind="stable")
        self._ranks = all_ranks[order]
        self._lengths = np.concatenate([self._lengths, np.array(lengths, np.int64)])[order]
        enough = int(np.searchsorted(np.cumsum(self._lengths), most)) + 1
        if enough > len(self._ranks):
            return float("inf")
        self._ranks, self._lengths = self._ranks[:enough].copy(), self._lengths[:enough].copy()
        return float(self._ranks[-1])

    def pick_to(self, budget: int) -> float:
        """The highest rank to take, so that at least `budget` characters are taken, or all; -1 for none."""
        if budget <= 0 or not len(self._ranks):
            return -1.0
        last = int(np.searchsorted(np.cumsum(self._lengths), budget))
        return float(self._ranks[min(last, len(self._ranks) - 1)])


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


def _training_texts(source: OpenedSource, bound: int, progress: Callable[[int], None]) -> Iterator[tuple[float, str]]:
    """Documents and passages that are not held out, with their ranks; `progress` is told the characters read."""
    read = 0
    for document in source.documents(Quarantine()):
        texts = held_out_texts(document)
        size = sum(map(len, texts))
        too_long = max(1.0, size / DOCUMENT_CHARACTERS)
        for text in texts:
            if text_hash(text) >= bound:
                yield too_long * _pick(text), text
        progress(read := read + size)
