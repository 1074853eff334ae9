"""Where a sentence ends, in every script whose marks say so: one definition, for texts and for single tokens.

The marks are what Unicode lists as ends of sentences (the property Sentence_Terminal) in scripts that are in use. Thai
and Lao write none.
"""

from __future__ import annotations

import re

_SHARED = ".!?…．۔‼⁇⁈⁉"
"""Also part of numbers, names and abbreviations (۔ is Urdu's): only before white space do they end a sentence."""
_SOLE = (
    "。！？｡︒︕︖﹖﹗"  # Chinese and Japanese: full and half width, upright, small
    "।॥"  # Hindi and most other languages of India
    "؟܀܁܂։߹"  # Arabic's question mark, Syriac, Armenian, N'Ko
    "።፧፨။។៕"  # Ethiopic, Burmese, Khmer
    "།༎᠃᠉᱾᱿꯫꧉"  # Tibetan, Mongolian, Santali, Manipuri, Javanese
)
"""These have no other use, and the next sentence may follow without white space."""
CLAUSE_MARKS = (",", ";", ":", "—", "–", "、", "，", "；", "：", "､", "،", "؛", "፣", "፤", "၊")
CLOSING = ")]}»›”」』）】》〉〕］｝〗〙〛｣﹂﹄"
"""Brackets and quotes that only close."""
CLOSERS = CLOSING + "\"'’*_`"
"""What may stand between a sentence's mark and its end."""
_BEFORE_SPACE = CLOSERS + "“‘«‹"
"""Between words with spaces, what closes in German and Polish („so“) does so; elsewhere it opens the next sentence."""


def _one_of(marks: str) -> str:
    return f"[{re.escape(marks)}]"


_SOLE_END = f"{_one_of(_SOLE)}{_one_of(_SOLE + _SHARED)}*{_one_of(CLOSERS)}*"
_SHARED_END = f"{_one_of(_SHARED)}{_one_of(_BEFORE_SPACE)}*"
_IN_TEXT = re.compile(rf"(?:{_SOLE_END}|{_SHARED_END}(?=\s))\n?")
_AT_THE_END = re.compile(rf"(?:{_SOLE_END}|{_SHARED_END})\Z")
_BEHIND = 16
"""Characters after a stretch of text that are looked at, too: the white space or the quotes behind its last mark."""


def last_sentence_end(text: str, low: int, high: int) -> int | None:
    """The last place in text[low:high], or at `high`, after a sentence and the new line that follows it."""
    ends = [match.end() for match in _IN_TEXT.finditer(text, low, min(len(text), high + _BEHIND))]
    return max((end for end in ends if end <= high), default=None)


def ends_sentence(text: str) -> bool:
    """Whether a text without white space at its end may be the end of a sentence; "3." and "e.g." look like one."""
    return _AT_THE_END.search(text) is not None
