"""In which scripts a text is written: the share of letters that do not belong to its language's."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from coldframe.corpus.filters.texts import LETTER, Bools, Floats, Ints, Texts, maxima, share, sums

#: Script -> blocks of code points [first, last] that hold its letters (The Unicode Standard, blocks; the usual ones).
SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "Latin": ((0x41, 0x24F), (0x250, 0x2AF), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xFB00, 0xFB06),
              (0xFF21, 0xFF5A)),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "Armenian": ((0x530, 0x58F),),
    "Hebrew": ((0x590, 0x5FF), (0xFB1D, 0xFB4F)),
    "Arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
    "Devanagari": ((0x900, 0x97F), (0xA8E0, 0xA8FF)),
    "Bengali": ((0x980, 0x9FF),),
    "Gurmukhi": ((0xA00, 0xA7F),),
    "Gujarati": ((0xA80, 0xAFF),),
    "Tamil": ((0xB80, 0xBFF),),
    "Telugu": ((0xC00, 0xC7F),),
    "Kannada": ((0xC80, 0xCFF),),
    "Malayalam": ((0xD00, 0xD7F),),
    "Sinhala": ((0xD80, 0xDFF),),
    "Thai": ((0xE00, 0xE7F),),
    "Lao": ((0xE80, 0xEFF),),
    "Tibetan": ((0xF00, 0xFFF),),
    "Burmese": ((0x1000, 0x109F), (0xAA60, 0xAA7F)),
    "Georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
    "Ethiopic": ((0x1200, 0x139F), (0x2D80, 0x2DDF), (0xAB00, 0xAB2F)),
    "Khmer": ((0x1780, 0x17FF), (0x19E0, 0x19FF)),
    "Kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),
    "Han": ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000,
    0x323AF)),
}  # fmt: skip
#: Language -> its scripts, where they are not Latin alone.
_WRITTEN_IN = {
    "el": "Greek", "ru": "Cyrillic", "uk": "Cyrillic", "be": "Cyrillic", "bg": "Cyrillic", "mk": "Cyrillic",
    "sr": "Cyrillic Latin", "kk": "Cyrillic", "ky": "Cyrillic", "mn": "Cyrillic", "tg": "Cyrillic", "hy": "Armenian",
    "he": "Hebrew", "yi": "Hebrew", "ar": "Arabic", "fa": "Arabic", "ur": "Arabic", "ps": "Arabic", "hi": "Devanagari",
    "mr": "Devanagari", "ne": "Devanagari", "sa": "Devanagari", "bn": "Bengali", "as": "Bengali",
    "pa": "Gurmukhi Arabic",
    "gu": "Gujarati", "ta": "Tamil", "te": "Telugu", "kn": "Kannada", "ml": "Malayalam", "si": "Sinhala", "th": "Thai",
    "lo": "Lao", "bo": "Tibetan", "my": "Burmese", "ka": "Georgian", "ko": "Hangul Han", "am": "Ethiopic",
    "ti": "Ethiopic", "km": "Khmer", "ja": "Kana Han", "zh": "Han",
}  # fmt: skip
_FEW_LETTERS = 12
"""A paragraph with fewer letters says too little."""


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts that a language is written in; Latin where nothing else is known."""
    return tuple(_WRITTEN_IN.get(language.split("-")[0].lower(), "Latin").split())


def measure(texts: Texts, language: str) -> dict[str, Floats]:
    """Of each text the share of letters that are of none of the language's scripts, in all and in the paragraph where
    it is largest (among those with at least a dozen letters) [N]."""
    letters = (texts.kinds & LETTER) != 0
    foreign = letters & ~_known(scripts_of(language))[texts.codes]
    if not foreign.any():
        return {"other_script": np.zeros(len(texts)), "other_script_paragraph": np.zeros(len(texts))}
    paragraphs = texts.paragraphs
    letters_in, foreign_in = (_within(found, paragraphs.start, paragraphs.end) for found in (letters, foreign))
    of_paragraph = share(foreign_in, letters_in)
    of_paragraph[letters_in < _FEW_LETTERS] = 0.0
    return {
        "other_script": share(sums(foreign_in, paragraphs.of), sums(letters_in, paragraphs.of)),
        "other_script_paragraph": maxima(of_paragraph, paragraphs.of),
    }


def _within(found: Bools, start: Ints, end: Ints) -> Ints:
    until: Ints = np.concatenate([[0], np.cumsum(found)])
    within: Ints = until[end] - until[start]
    return within


@functools.lru_cache
def _known(scripts: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Which code points belong to one of the scripts, or to none at all [0x110000]."""
    known = np.ones(0x110000, dtype=bool)
    for name, blocks in SCRIPTS.items():
        for first, last in blocks:
            if name not in scripts:
                known[first : last + 1] = False
    for name in scripts:
        for first, last in SCRIPTS[name]:
            known[first : last + 1] = True
    return known
