"""Tokenized sources in memory, from real text or from made-up documents."""

from __future__ import annotations

import hashlib
import pydoc_data.topics
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from coldframe.mixture.packing import Packing

BOS = 0
VOCABULARY = 512
BOUNDARY = np.zeros(VOCABULARY, dtype=np.uint8)
BOUNDARY[1:5], BOUNDARY[5:25], BOUNDARY[25:40], BOUNDARY[40:60] = 4, 3, 2, 1
PLAIN = np.zeros(VOCABULARY, dtype=np.uint8)
"""A boundary table without any boundary."""


class MemorySource:
    """Documents given as token ids without BOS; a mask, if any, in the same form."""

    def __init__(
        self,
        name: str,
        documents: Iterable[Sequence[int] | npt.NDArray[np.int64]],
        boundary: npt.NDArray[np.uint8] = BOUNDARY,
        mask: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        with_bos = [np.concatenate([[BOS], np.asarray(document, dtype=np.int64)]) for document in documents]
        self.name, self.boundary, self.bos = name, boundary, BOS
        self.document_offsets = np.cumsum([0] + [len(document) for document in with_bos], dtype=np.int64)
        self.tokens = np.concatenate([*with_bos, np.empty(0, dtype=np.int64)]).astype(np.uint16)
        self.num_tokens = len(self.tokens)
        self.mask = mask
        content = self.tokens.tobytes() + self.document_offsets.tobytes()
        self.manifest_hash = hashlib.sha256(content).hexdigest()

    def read(self, start: int, stop: int) -> npt.NDArray[np.uint16]:
        assert 0 <= start < stop <= self.num_tokens
        return self.tokens[start:stop]

    def read_mask(self, start: int, stop: int) -> npt.NDArray[np.uint8] | None:
        return None if self.mask is None else self.mask[start:stop]


def python_topics(name: str = "topics", *, joined: bool = False) -> MemorySource:
    """Python's own help texts, a token for each word, mark or blank line; one document each, or one long document."""
    texts = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    documents = [
        [token for piece in re.findall(r"\n\n|\w+|[^\w\s]", text) for token in [token_of(piece)]] for text in texts
    ]
    return MemorySource(name, [sum(documents, [])] if joined else documents)


def token_of(piece: str) -> int:
    if piece == "\n\n":
        return 1
    if piece in ".!?":
        return 5
    if piece in ",;:":
        return 25
    return 60 + int.from_bytes(hashlib.md5(piece.encode()).digest()[:4], "little") % (VOCABULARY - 60)


def made_up(
    name: str, lengths: Iterable[int], *, seed: int = 0, boundary: npt.NDArray[np.uint8] = BOUNDARY
) -> MemorySource:
    """Documents of random tokens: of 512, 4 end a paragraph, 20 a sentence, 35 a clause."""
    random = np.random.default_rng(seed)
    return MemorySource(name, [random.integers(1, VOCABULARY, int(n) - 1) for n in lengths], boundary)


def lognormal(mean: float, spread: float, total: int, *, seed: int = 0) -> list[int]:
    """Document lengths of so many tokens together, about log-normal as real ones are."""
    random = np.random.default_rng(seed)
    lengths: list[int] = []
    while sum(lengths) < total:
        lengths.append(1 + int(random.lognormal(np.log(mean), spread)))
    return lengths


def rows_digest(name: str, seed: int) -> str:
    """A hash over rows of two epochs of Python's help texts."""
    packing = Packing(python_topics(name), context=256, seed=seed)
    rows = b"".join(part.tobytes() for k in range(0, 2 * packing.rows_per_epoch, 7) for part in packing.row(k))
    return hashlib.sha256(rows).hexdigest()
