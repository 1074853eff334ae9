"""Whether a text reads like language: the quality measures of Rae et al. 2021 (Gopher), table A1, and of FineWeb.

Words are what white space divides: a tokenization that makes words of punctuation marks turns the measure of words with
letters against conversations and code.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coldframe.corpus.filters.texts import LETTER, Bools, Floats, Texts, share, sums

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
BULLETS = "•-*‣●○▪◦"
_ENDS = ".!?:;\"'”’»。！？…"
_SHORT = 30


def measure(texts: Texts) -> dict[str, Floats]:
    """Each text's number of words, their mean length, and shares of words and lines of certain shapes [N]."""
    words, lines = texts.words, texts.lines
    symbols = [text.count("#") + text.count("...") + text.count("…") for text in texts.texts]
    last = texts.codes[lines.end - 1]
    dots = (last == ord(".")) & (lines.lengths >= len("..."))
    for back in (2, 3):
        dots &= texts.codes[np.maximum(lines.end - back, 0)] == ord(".")

    def of_lines(chosen: Bools) -> Floats:
        return share(sums(chosen, lines.of), lines.counts)

    return {
        "num_words": words.counts.astype(np.float64),
        "mean_word_length": share(sums(words.lengths, words.of), words.counts),
        "symbols_per_word": share(np.array(symbols, dtype=np.int64), words.counts),
        "bullet_lines": of_lines(_among(texts.codes[lines.start], BULLETS)),
        "ellipsis_lines": of_lines(dots | (last == ord("…"))),
        "letter_words": share(sums(texts.counted(LETTER) > 0, words.of), words.counts),
        "stop_words": _stop_words(texts),
        "ended_lines": of_lines(_among(last, _ENDS)),
        "short_lines": of_lines(lines.lengths <= _SHORT),
    }


def _among(codes: npt.NDArray[np.uint32], characters: str) -> Bools:
    """Where a code point is one of these characters."""
    return np.isin(codes, np.fromiter(map(ord, characters), dtype=np.uint32))


def _stop_words(texts: Texts) -> Floats:
    """How many of the commonest English words each text holds, each counted once."""
    found = np.zeros(len(texts))
    for word_hash in Texts([" ".join(STOP_WORDS)]).word_hashes:
        found += sums(texts.word_hashes == word_hash, texts.words.of) > 0
    return found
