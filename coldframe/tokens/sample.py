"""The text that a tokenizer learns from: a capped sample of every source, the same each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import xxhash

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import OpenedSource
from coldframe.tokens.holdout import held_out_texts, text_hash

SAMPLE_CHARACTERS = 50_000_000
"""At most so much text in all: more changes a vocabulary hardly, and takes longer."""
DOCUMENT_CHARACTERS = 1_000_000
"""At most so much of one document."""
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
    """Documents and passages of the training side of each (source, hold-out bound), picked by a hash of their text."""
    sizes = [source.num_bytes for source, _ in sources]
    read_before = 0
    for (source, bound), budget in zip(sources, sample_budgets(sizes, total), strict=True):
        pick_below = int(min(1.0, budget / max(1, source.num_bytes)) * 2**64)
        taken = read = 0
        for document in source.documents(Quarantine()):
            of_document = 0
            for text in held_out_texts(document):
                read += len(text)
                picked = xxhash.xxh3_64_intdigest(text.encode("utf-8"), _SEED) < pick_below
                if picked and of_document < DOCUMENT_CHARACTERS and text_hash(text) >= bound:
                    of_document += len(text)
                    yield text
            taken += of_document
            progress(min(1.0, (read_before + read) / max(1, sum(sizes))))
            if taken >= budget:
                break
        read_before += source.num_bytes
