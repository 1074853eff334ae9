"""A batch of texts as arrays: the one tokenization that every filter shares.

The characters of all texts stand one after the other. A word is what white space divides; a line and a paragraph are
runs of words, so how they are indented or spaced does not matter. Words, lines and paragraphs are listed for all texts
together and cut into texts by offsets: a feature of ten thousand short chats costs as little Python as one of a long
book. Letters in shapes: C characters, W words, N texts.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

SPACE, LETTER, DIGIT, UPPER = 1, 2, 4, 8
"""What a character is, as bits: white space, letter, digit, capital letter."""
_NEWLINE = 10
_WRAPPED = 160
"""Characters of a line that nobody wrapped: it is a paragraph of its own, also without an empty line around it."""
_MULTIPLIER = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Pieces:
    """Words, lines or paragraphs of all texts, in order."""

    start: Ints
    end: Ints
    """Piece i is the characters [start[i], end[i]); white space around it is not part of it."""
    first: Ints
    """The first word of each piece."""
    of: Ints
    """Text n has the pieces [of[n], of[n + 1]) [N + 1]."""

    @property
    def lengths(self) -> Ints:
        """Characters of each piece."""
        return self.end - self.start

    @property
    def counts(self) -> Ints:
        """Pieces of each text [N]."""
        return np.diff(self.of)

    @property
    def text(self) -> Ints:
        """Which text each piece stands in."""
        return np.repeat(np.arange(len(self.of) - 1), self.counts)


class Texts:
    """Texts, divided into words, lines and paragraphs once. Any string is a text, also an empty one."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        joined = "\n".join([*texts, ""])
        self.codes: npt.NDArray[np.uint32] = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        """Code points [C]; each text ends with a line break that is not its own."""
        self.kinds: npt.NDArray[np.uint8] = _character_kinds()[self.codes]
        """Bits of SPACE, LETTER, DIGIT, UPPER [C]."""
        self.lengths: Ints = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        """Characters of each text [N]."""
        self.at: Ints = np.concatenate([[0], np.cumsum(self.lengths + 1)])
        """Where each text begins among the characters [N + 1]."""
        edges = np.flatnonzero(np.diff((self.kinds & SPACE) != 0, prepend=True))
        start, end = edges[0::2], edges[1::2]
        self.words = Pieces(start, end, np.arange(len(start)), np.searchsorted(start, self.at))
        self.text_of_word: Ints = self.words.text
        """Which text each word stands in [W]."""
        breaks = np.searchsorted(np.flatnonzero(self.codes == _NEWLINE), start)
        breaks_before = np.diff(breaks, prepend=-2)
        anew = np.diff(self.text_of_word, prepend=-1) > 0  # no line goes from one text into the next
        self.lines = self.runs(np.flatnonzero(anew | (breaks_before > 0)))
        first = self.lines.first
        long = self.lines.lengths > _WRAPPED
        unwrapped = long | np.append(False, long)[: len(long)]  # the line itself, or the one before it
        self.paragraphs = self.runs(first[anew[first] | (breaks_before[first] > 1) | unwrapped])

    def __len__(self) -> int:
        return len(self.texts)

    def runs(self, first: Ints) -> Pieces:
        """The runs of words that begin at `first`, every text's first word among them."""
        last = np.append(first[1:], len(self.words.start))[: len(first)] - 1
        return Pieces(self.words.start[first], self.words.end[last], first, np.searchsorted(first, self.words.of))

    @functools.cached_property
    def word_hashes(self) -> Hashes:
        """A 64-bit hash of each word's characters [W]."""
        lengths = self.words.lengths
        if not len(lengths):
            return np.empty(0, dtype=np.uint64)
        first = np.cumsum(lengths) - lengths
        characters = self.codes[(self.kinds & SPACE) == 0].astype(np.uint64)
        place = np.arange(len(characters)) - np.repeat(first, lengths)
        characters *= _powers(int(lengths.max()))[place]
        return mixed(np.add.reduceat(characters, first))

    def hashes(self, pieces: Pieces) -> Hashes:
        """A 64-bit hash of each piece's words, whatever stands between them."""
        if not len(pieces.first):
            return np.empty(0, dtype=np.uint64)
        lengths = np.diff(np.append(pieces.first, len(self.words.start)))
        place = np.arange(len(self.words.start)) - np.repeat(pieces.first, lengths)
        weights = _powers(int(lengths.max()))[place]
        return mixed(np.add.reduceat(self.word_hashes * weights, pieces.first))

    @functools.cached_property
    def lowered(self) -> tuple[str, Ints]:
        """All texts in small letters, each followed by a line break, and where each begins [N + 1]."""
        lowered = [text.lower() for text in self.texts]
        at = np.cumsum([0, *(len(text) + 1 for text in lowered)])
        return "\n".join([*lowered, ""]), at

    def phrases(self, phrases: Iterable[str]) -> Ints:
        """How often any of these phrases (in small letters) stands in each text [N]."""
        lowered, at = self.lowered
        found = np.zeros(len(self), dtype=np.int64)
        for phrase in phrases:
            place = lowered.find(phrase)
            while place >= 0:
                found[np.searchsorted(at, place, side="right") - 1] += 1
                place = lowered.find(phrase, place + len(phrase))
        return found

    def counted(self, bits: int) -> Ints:
        """For each word the number of its characters that are any of these kinds [W]."""
        until: Ints = np.concatenate([[0], np.cumsum((self.kinds & bits) != 0)])
        counted: Ints = until[self.words.end] - until[self.words.start]
        return counted


def sums(values: npt.NDArray[np.generic], offsets: Ints) -> Ints:
    """The sum of each text's values, cut by offsets [N + 1]; 0 of none."""
    until: Ints = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    found: Ints = until[offsets[1:]] - until[offsets[:-1]]
    return found


def maxima(values: npt.NDArray[np.generic], offsets: Ints) -> Floats:
    """The largest of each text's values (none of them negative), 0 of none."""
    found = np.zeros(len(offsets) - 1)
    some = offsets[1:] > offsets[:-1]
    if some.any():
        found[some] = np.maximum.reduceat(values, offsets[:-1][some])
    return found


def share(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> Floats:
    """part / whole, 0 where there is nothing."""
    found: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)
    return found


def mixed(hashes: Hashes) -> Hashes:
    """The same hashes with every bit depending on every other (the finalizer of MurmurHash3, public domain)."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> np.uint64(33))


def _powers(count: int) -> Hashes:
    """The first powers of an odd multiplier, modulo 2 to the 64th."""
    factors = np.full(max(count, 1), _MULTIPLIER, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


@functools.cache
def _character_kinds() -> npt.NDArray[np.uint8]:
    """What each code point is, as Python's str methods say [0x110000]."""
    kinds = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    for start in range(0, len(kinds), 1 << 16):  # a list of all of them at once would be 60 MB
        characters = [chr(code) for code in range(start, start + (1 << 16))]
        for bit, test in ((SPACE, str.isspace), (LETTER, str.isalpha), (DIGIT, str.isdigit), (UPPER, str.isupper)):
            found = np.frombuffer(bytes(map(test, characters)), dtype=np.uint8)
            kinds[start : start + (1 << 16)] |= found * np.uint8(bit)
    return kinds
