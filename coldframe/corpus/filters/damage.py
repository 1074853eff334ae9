"""Text that was hurt on its way: read in the wrong encoding, or misread by a machine from a scanned page."""

from __future__ import annotations

import re

import numpy as np
from ftfy.badness import badness

from coldframe.corpus.filters.texts import DIGIT, LETTER, SPACE, UPPER, Floats, Texts, share, sums

_SUSPECT = re.compile("[\u0080-\u00ff\u0152-\u017e\u0192\u02c6\u02dc\u2018-\u2122]{2}")
"""Two characters that bytes of UTF-8 become when they are read as Windows-1252."""
_LOST = 0xFFFD
_LONE = "aioAIO&-–—/=+*|•0123456789"
"""One-character words that are ordinary."""


def measure(texts: Texts) -> dict[str, Floats]:
    """Of each text: characters that came through a wrong encoding or were lost, per thousand; the share of words that a
    scanner seems to have misread [N]."""
    harmed = sums(texts.codes == _LOST, texts.at).astype(np.float64)
    for number, text in enumerate(texts.texts):
        if not text.isascii() and _SUSPECT.search(text):
            harmed[number] += badness(text)
    return {
        "damaged_chars": 1000 * share(harmed, texts.lengths),
        "misread_words": share(_misread(texts), texts.words.counts),
    }


def _misread(texts: Texts) -> Floats:
    """Words such as `tbe^n`, `l1ght` or `hOuse` and stray single letters, in each text [N].

    A mark or digit between letters is no sign in itself (`don't`, `well-known`, `3rd`, `H2O`): only small letters on
    both sides of a digit or a rare mark count, and a capital between small ones.
    """
    codes, kinds = texts.codes, texts.kinds
    small = ((kinds & LETTER) != 0) & ((kinds & UPPER) == 0)
    odd = (kinds & (LETTER | SPACE | DIGIT)) == 0
    odd &= ~np.isin(codes, np.fromiter(map(ord, "'’-‐‑–—_./:@&*`,;()[]{}=+#\"“”…?!<>|\\~$%"), dtype=np.uint32))
    strange = np.zeros(len(codes), dtype=bool)
    inner = odd | ((kinds & DIGIT) != 0)
    strange[1:-1] = small[:-2] & inner[1:-1] & small[2:]
    until = np.concatenate([[0], np.cumsum(strange)])
    words = texts.words
    broken = until[words.end] - until[words.start] > 0
    lone = (words.lengths == 1) & ((kinds[words.start] & LETTER) != 0)
    lone &= ~np.isin(codes[words.start], np.fromiter(map(ord, _LONE), dtype=np.uint32))
    return sums(broken | lone, words.of).astype(np.float64)
