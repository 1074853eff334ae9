"""The rows of one source: a tape that can be entered anywhere, so that row k needs no reader's state.

An epoch lays the source's *units* end to end in a shuffled order: the tape. A unit is a document, or a piece of about
8 rows of a long one, cut at a paragraph or sentence. Every unit on the tape begins with BOS: a document has its own,
the later pieces of a document get an inserted one. The tape is a ring: behind its end it begins again.

`rows_per_epoch` rows start at even distances on the ring, each moved to the best start near it (of a document, of a
paragraph, of a sentence). A row is context + 1 tokens read from there on, across unit boundaries; a row that starts
inside a unit has a BOS put before it. Nothing is padded. What a moved start leaves unread between two rows is lost for
this epoch; the distance between rows is shrunk until at most about 1.5% of the tokens are.

Units and rows are shuffled by keyed permutations: row k is a pure function of (name, manifest, seed, context, k).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coldframe.errors import SettingsError, SourceError

Ints = npt.NDArray[np.integer[Any]]

LINE, SENTENCE, PARAGRAPH, DOCUMENT = 2, 3, 4, 5
"""What a row starts at, the stronger the higher; the boundary table has 0 nothing, 1 a clause or word, to 4."""

ROWS_PER_PIECE = 8
REACH = 1 / 8
"""A row starts at most this share of the context away from its even place."""
MEAN_LOSS, WORST_LOSS = 0.015, 0.03
"""Aimed-at share of tokens in no row: on average, and with four standard errors for a single epoch of this source."""
SAMPLED_ROWS = 512


class TokenSource(Protocol):
    """What packing needs from a tokenized source, such as `coldframe.tokens.shards.TokenSource`."""

    @property
    def name(self) -> str: ...
    @property
    def manifest_hash(self) -> str: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def document_offsets(self) -> npt.NDArray[np.int64]:
        """[num_documents + 1]: document d is the tokens from offset d to offset d + 1 and begins with BOS."""
        ...

    @property
    def boundary(self) -> npt.NDArray[np.uint8]:
        """[vocabulary]: what ends after a token: 0 nothing, 1 word or clause, 2 line, 3 sentence, 4 paragraph."""
        ...

    @property
    def bos(self) -> int: ...
    def read(self, start: int, stop: int) -> Ints: ...
    def read_mask(self, start: int, stop: int) -> Ints | None:
        """1 where a token counts as a target; None when all do."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a row: the source's tokens [start, stop), all of one document, from a column of the row on.

    With `inserted_bos` that column holds a BOS which is not in the source, and the tokens begin one column later.
    """

    document: int
    start: int
    stop: int
    column: int
    inserted_bos: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive tape tokens of one unit: which place on the tape's order, which unit, from where in it, how many."""

    place: int
    unit: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class _Epoch:
    """One epoch: units in tape order [num_units], their edges on the tape [num_units + 1], the order of the rows."""

    number: int
    units: npt.NDArray[np.int32]
    edges: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]


def permutation(count: int, *key: object) -> npt.NDArray[np.int32]:
    """A random order of range(count) that depends on the key alone: the same in every process and numpy version.

    Sorts raw output of Philox: numpy promises the bits of a generator for good, but not what `Generator.permutation`
    makes of them.
    """
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    bits = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(count)
    return np.argsort(bits, kind="stable").astype(np.int32)


class Packing:
    """Rows of `context` + 1 tokens of one source, by number, for ever: row k belongs to epoch k // rows_per_epoch.

    Raises SourceError when the source has no tokens or its offsets make no sense, SettingsError for a context below 1.
    Safe to use from several threads: the only thing kept is the last epoch's tape, replaced as a whole.
    """

    def __init__(self, source: TokenSource, *, context: int, seed: int) -> None:
        if context < 1:
            raise SettingsError(f"the context is {context} tokens", advice="a row needs at least 1")
        self.source, self.context, self.seed = source, context, seed
        self._key = (seed, source.name, source.manifest_hash)
        self._reach = int(context * REACH)
        self._boundary = np.array(source.boundary, dtype=np.uint8)
        self._boundary[source.bos] = 0  # starting right after a BOS is starting at it
        self._edges, self._strength = _cut(_checked_offsets(source), source, self._boundary, context)
        inserted = self._strength < DOCUMENT
        self._lengths = (np.diff(self._edges) + inserted).astype(np.int32)
        self.tape_tokens = int(source.num_tokens + inserted.sum())
        distance = np.abs(np.arange(2 * self._reach + 1) - self._reach)
        # Anything weaker than a sentence costs more than any sentence within reach.
        penalty = np.array([8, 4, 2, 3 / 4, 1 / 2, 0]) * max(self._reach, 1)
        self._start_cost = distance + penalty[:, None]
        self._epoch: _Epoch | None = None
        self.rows_per_epoch, self.expected_loss, self.expected_overlap = self._fit_rows()
        fitted = self._epoch  # its tape holds; with millions of documents it took seconds
        self._epoch = replace(fitted, rows=self._row_order(fitted.number)) if fitted else None

    def row(self, k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Tokens [context + 1] of row k, and which of its targets (tokens 1 to context) count [context].

        Besides the source's own mask: an inserted BOS never counts; a document's BOS counts, as it says that the text
        before it has ended, unless that text was cut off there.
        """
        epoch, start, inside = self._start(k)
        tokens = np.empty(self.context + 1, dtype=np.int32)
        mask = np.ones(self.context + 1, dtype=np.uint8)
        tokens[0], column = self.source.bos, int(inside)
        for run in self._runs(epoch, start, self.context + 1 - column):
            self._fill(epoch, run, tokens[column : column + run.count], mask[column : column + run.count])
            column += run.count
        return tokens, mask[1:]

    def explain(self, k: int) -> tuple[Span, ...]:
        """Where row k's tokens stand in the source, in order."""
        epoch, start, inside = self._start(k)
        spans, column = [], 0
        for run in self._runs(epoch, start, self.context + 1 - inside):
            extra = int(self._strength[run.unit] < DOCUMENT)
            begin = int(self._edges[run.unit]) + max(run.offset - extra, 0)
            stop = int(self._edges[run.unit]) + run.offset + run.count - extra
            inserted = bool(extra and run.offset == 0) or (inside and column == 0)
            document = int(np.searchsorted(self.source.document_offsets, begin, side="right")) - 1
            spans.append(Span(document=document, start=begin, stop=stop, column=column, inserted_bos=inserted))
            column += run.count + int(inside and column == 0)
        return tuple(spans)

    def start_strength(self, k: int) -> int:
        """What row k starts at: 5 document, 4 paragraph, 3 sentence, 2 line, 1 clause or word, 0 none of these."""
        span = self.explain(k)[0]
        if not span.inserted_bos:
            return DOCUMENT
        return int(self._boundary[int(self.source.read(span.start - 1, span.start)[0])])

    def _start(self, k: int) -> tuple[_Epoch, int, bool]:
        """The epoch of row k, where on its tape the row starts, and whether inside a unit (so that it needs a BOS)."""
        number, index = divmod(k, self.rows_per_epoch)
        epoch = self._tape(number)
        return epoch, *self._moved(epoch, int(epoch.rows[index]), self.rows_per_epoch)

    def _tape(self, number: int) -> _Epoch:
        """An epoch's tape, built when it is not the one used last."""
        epoch = self._epoch
        if epoch is None or epoch.number != number:
            epoch = self._epoch = self._shuffled(number, self._row_order(number))
        return epoch

    def _shuffled(self, number: int, rows: npt.NDArray[np.int32]) -> _Epoch:
        units = permutation(len(self._lengths), "units", *self._key, number)
        edges = np.zeros(len(units) + 1, dtype=np.int64)
        np.cumsum(self._lengths[units], out=edges[1:])
        return _Epoch(number, units, edges, rows)

    def _row_order(self, number: int) -> npt.NDArray[np.int32]:
        return permutation(self.rows_per_epoch, "rows", *self._key, number)

    def _moved(self, epoch: _Epoch, index: int, rows: int) -> tuple[int, bool]:
        """Start of the index-th of so many rows, the cheapest within reach of its even place; whether inside a unit."""
        even, reach = index * self.tape_tokens // rows, self._reach
        if rows == 1:
            return 0, False
        tokens = np.empty(2 * reach + 1, dtype=np.int32)
        unit_starts, at = [], 0
        for run in self._runs(epoch, even - reach - 1, 2 * reach + 1):
            self._fill(epoch, run, tokens[at : at + run.count], None)
            if run.offset + run.count == self._lengths[run.unit]:
                following = epoch.units[(run.place + 1) % len(epoch.units)]
                unit_starts.append((at + run.count - 1, int(self._strength[following])))
            at += run.count
        # strength[i]: what a row would start at, beginning on the tape right after tokens[i]
        strength = self._boundary[tokens]
        for i, unit_strength in unit_starts:
            strength[i] = unit_strength
        best = int(np.argmin(self._start_cost[strength, np.arange(2 * reach + 1)]))
        return (even - reach + best) % self.tape_tokens, all(best != i for i, _ in unit_starts)

    def _runs(self, epoch: _Epoch, start: int, count: int) -> Iterator[_Run]:
        """The tape's tokens from `start` on (which may lie beyond either end of the ring), unit by unit."""
        start %= self.tape_tokens
        place = int(np.searchsorted(epoch.edges, start, side="right")) - 1
        offset = start - int(epoch.edges[place])
        while count > 0:
            unit = int(epoch.units[place])
            taken = min(count, int(self._lengths[unit]) - offset)
            yield _Run(place, unit, offset, taken)
            count, offset = count - taken, 0
            place = (place + 1) % len(epoch.units)

    def _fill(
        self, epoch: _Epoch, run: _Run, tokens: npt.NDArray[np.int32], mask: npt.NDArray[np.uint8] | None
    ) -> None:
        """Write the tokens of a run, and their mask when asked for, both [run.count]."""
        inserted = int(self._strength[run.unit] < DOCUMENT)
        own = int(inserted and run.offset == 0)  # leading tokens of this run that are not in the source
        start = int(self._edges[run.unit]) + run.offset + own - inserted
        stop = start + run.count - own
        tokens[:own] = self.source.bos
        if start < stop:
            tokens[own:] = self.source.read(start, stop)
        if mask is None:
            return
        kept = self.source.read_mask(start, stop) if start < stop else None
        if kept is not None:
            mask[own:] = kept
        if run.offset == 0:
            before = int(epoch.units[run.place - 1])
            ended = before + 1 == len(self._strength) or self._strength[before + 1] == DOCUMENT
            if own or not ended:
                mask[0] = 0

    def _fit_rows(self) -> tuple[int, float, float]:
        """The smallest number of rows that loses few enough tokens; the shares of lost and of twice-read tokens.

        Tries distances from context + 1 down in steps of half a percent. At 3/4 of the context nothing can be lost,
        since starts move by at most an eighth.
        """
        stride = float(self.context + 1)
        while True:
            rows = -(-self.tape_tokens // int(max(stride, 1)))
            lost, read = self._gaps(rows)
            loss = lost.mean() * rows / self.tape_tokens
            worst = loss + 4 * lost.std() * rows**0.5 / self.tape_tokens
            if (loss <= MEAN_LOSS and worst <= WORST_LOSS) or stride <= self.context * 0.75 or rows == 1:
                return rows, float(loss), float(read.mean() * rows / self.tape_tokens - 1 + loss)
            stride = min(stride * 0.995, stride - 1)

    def _gaps(self, rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Tokens lost behind each of a fixed sample of rows, and tape tokens that each reads, with so many rows."""
        if rows == 1:
            return np.zeros(1), np.full(1, float(self.context + 1))
        num_epochs = -(-SAMPLED_ROWS // rows)
        picks = permutation(rows, "sample", *self._key)[:SAMPLED_ROWS]
        lost, read = [], []
        for number in range(num_epochs):
            epoch = self._epoch
            if epoch is None or epoch.number != number:
                epoch = self._epoch = self._shuffled(number, np.empty(0, dtype=np.int32))
            for index in picks.tolist():
                start, inside = self._moved(epoch, index, rows)
                following, _ = self._moved(epoch, (index + 1) % rows, rows)
                length = self.context + 1 - inside
                lost.append(max(0, (following - start) % self.tape_tokens - length))
                read.append(length)
        return np.array(lost, dtype=np.float64), np.array(read, dtype=np.float64)


def _checked_offsets(source: TokenSource) -> npt.NDArray[np.int64]:
    """The source's document offsets, refused when they do not divide its tokens into documents."""
    offsets = source.document_offsets
    if source.num_tokens < 1 or len(offsets) < 2:
        advice = "leave it out of the mixture, or prepare it again"
        raise SourceError(f"source {source.name!r} has no tokens", advice=advice)
    if offsets[0] != 0 or offsets[-1] != source.num_tokens or not (np.diff(offsets) > 0).all():
        raise SourceError(
            f"the document offsets of source {source.name!r} do not divide its {source.num_tokens} tokens",
            advice="prepare the source again",
        )
    return offsets


def _cut(
    offsets: npt.NDArray[np.int64], source: TokenSource, boundary: npt.NDArray[np.uint8], context: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Edges of the units in the source [num_units + 1]; what each starts at [num_units]: DOCUMENT, or a cut's strength.

    A cut is at the strongest boundary within half a row of its even place.
    """
    piece, reach = ROWS_PER_PIECE * context, context // 2
    pieces = (np.diff(offsets) + piece // 2) // piece
    cuts: list[int] = []
    strengths: list[int] = []
    for document in np.flatnonzero(pieces > 1).tolist():
        start, stop, count = int(offsets[document]), int(offsets[document + 1]), int(pieces[document])
        for i in range(1, count):
            even = start + (stop - start) * i // count
            low, high = max(even - reach, start + 2), min(even + reach + 1, stop)  # cuts lie in [low, high)
            found = boundary[source.read(low - 1, high - 1)]
            cost = np.abs(np.arange(low, high) - even) - found.astype(np.int64) * (2 * reach + 1)
            best = int(np.argmin(cost))
            cuts.append(low + best)
            strengths.append(int(found[best]))
    if not cuts:
        return offsets, np.full(len(offsets) - 1, DOCUMENT, dtype=np.uint8)
    edges = np.concatenate([offsets, np.array(cuts, dtype=np.int64)])
    strength = np.concatenate([np.full(len(offsets) - 1, DOCUMENT), [0], strengths]).astype(np.uint8)
    order = np.argsort(edges, kind="stable")
    return edges[order], strength[order][:-1]
