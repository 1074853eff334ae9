"""What duplicates are found by: of each document a hash of its words, and hashes of bands of a MinHash sketch.

Two documents whose sets of three-word runs have the Jaccard similarity s share a band with probability
1 - (1 - s^r)^b for b bands of r values (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4): of
14 bands of 8 values 99.9% at 0.9, half at 0.7. What shares a band is a candidate and no more: its runs are compared.
Runs of five words find fewer of the short ones: two words changed of sixty leave them 70% alike, runs of three 81%.

Compared is what the documents themselves say. In a conversation that is not what the system or a tool says, and of any
document not the opening paragraphs that many of its source share: a long prompt before short answers would make all of
them duplicates of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash
from rensa import RMinHash

from coldframe.corpus.documents import Document
from coldframe.corpus.filters.texts import Hashes, Ints, Texts, mixed

RUN, BANDS, ROWS = 3, 14, 8
OPENING = 3
"""Paragraphs at the beginning of a document that may be shared by many."""
_SEED = 20
_LETTERS = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of several documents, as hashes, with what is not theirs left out."""

    hashes: Hashes
    """[W]"""
    of: Ints
    """Offsets of each document's words [N + 1]."""


def own_text(document: Document) -> str:
    """What a document itself says: of a conversation what user and assistant say."""
    if not document.messages:
        return document.text
    said = (message.content for message in document.messages if message.role in ("user", "assistant"))
    return "\n\n".join(said)


def openings(documents: Sequence[Document]) -> Hashes:
    """Hashes of the first paragraphs of each document, as many as there are."""
    texts = Texts([own_text(document).lower() for document in documents])
    return texts.hashes(texts.paragraphs)[_are_openings(texts)]


def words_of(documents: Sequence[Document], shared: Hashes) -> Words:
    """The documents' words in small letters, without their opening paragraphs of which the hashes are in `shared`
    (sorted)."""
    texts = Texts([own_text(document).lower() for document in documents])
    if not len(shared):
        return Words(texts.word_hashes, texts.words.of)
    hashes = texts.hashes(texts.paragraphs)
    out = _are_openings(texts) & _among(hashes, shared)
    # Only an unbroken opening: what follows the first paragraph of its own is the document's.
    place = np.arange(len(hashes)) - texts.paragraphs.of[texts.paragraphs.text]
    before = np.concatenate([[0], np.cumsum(~out)])
    out &= before[:-1] == before[texts.paragraphs.of[texts.paragraphs.text]]
    out &= place < OPENING
    lengths = np.diff(np.append(texts.paragraphs.first, len(texts.words.start)))
    kept = np.repeat(~out, lengths)
    until = np.concatenate([[0], np.cumsum(kept)])
    return Words(texts.word_hashes[kept], until[texts.words.of])


def runs_of(words: Words, size: int = RUN) -> tuple[Hashes, Ints]:
    """Hashes of all runs of `size` words of each document, and their offsets; a shorter document is one run."""
    counts = np.diff(words.of)
    num_runs = np.where(counts >= size, counts - size + 1, (counts > 0).astype(np.int64))
    offsets = np.concatenate([[0], np.cumsum(num_runs)])
    document = np.repeat(np.arange(len(counts)), num_runs)
    place = words.of[document] + np.arange(offsets[-1]) - offsets[document]
    hashes = np.zeros(len(place), dtype=np.uint64)
    for ahead in range(size):
        there = place + ahead
        inside = there < words.of[document + 1]
        hashes[inside] = hashes[inside] * _LETTERS + words.hashes[there[inside]]
    return mixed(hashes), offsets


def signatures(words: Words) -> npt.NDArray[np.uint64]:
    """Of each document the hash of all its words, then those of its bands [N, 1 + BANDS]."""
    runs, offsets = runs_of(words)
    found = np.zeros((len(offsets) - 1, 1 + BANDS), dtype=np.uint64)
    for number, (start, end) in enumerate(zip(words.of[:-1].tolist(), words.of[1:].tolist(), strict=True)):
        found[number, 0] = np.uint64(hash_of(words.hashes[start:end]))
    if len(offsets) > 1:
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(runs, offsets.astype(np.uint64), BANDS * ROWS, _SEED)
        sketch = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, BANDS, ROWS)
        bands: Hashes = np.zeros((len(sketch), BANDS), dtype=np.uint64)
        for row in range(ROWS):
            bands = bands * _LETTERS + sketch[:, :, row]
        numbered: Hashes = bands + np.arange(BANDS).astype(np.uint64)
        found[:, 1:] = mixed(numbered)
    return found


def hash_of(hashes: Hashes) -> int:
    """A hash of a row of hashes (xxh3)."""
    return xxhash.xxh3_64_intdigest(hashes.tobytes())


def similarity(first: Hashes, second: Hashes) -> float:
    """The Jaccard similarity of two sorted sets."""
    if not len(first) or not len(second):
        return float(len(first) == len(second))
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def _are_openings(texts: Texts) -> npt.NDArray[np.bool_]:
    """Which paragraphs are among the first of their text, and not all of it."""
    paragraphs = texts.paragraphs
    place = np.arange(len(paragraphs.start)) - paragraphs.of[paragraphs.text]
    last = paragraphs.counts[paragraphs.text] - 1
    return (place < OPENING) & (place < last)


def _among(hashes: Hashes, known: Hashes) -> npt.NDArray[np.bool_]:
    place = np.searchsorted(known, hashes)
    among: npt.NDArray[np.bool_] = known[np.minimum(place, len(known) - 1)] == hashes
    return among
