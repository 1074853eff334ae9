"""How a text is laid out: paragraphs longer than the model can see, lists, tables, and a web page's furniture."""

from __future__ import annotations

import numpy as np

from coldframe.corpus.filters.texts import DIGIT, Bools, Floats, Ints, Pieces, Texts, maxima, share, sums

#: What a web page says around its text; none of it is language that a model should learn to write.
FURNITURE = (
    "all rights reserved", "terms of use", "terms of service", "terms and conditions", "privacy policy",
    "cookie policy",
    "use of cookies", "uses cookies", "accept cookies", "accept all", "sign up", "sign in", "log in",
    "subscribe to our",
    "subscribe now", "newsletter", "click here", "read more", "share this", "share on", "follow us", "leave a reply",
    "leave a comment", "powered by", "skip to content", "skip to main", "back to top", "javascript is disabled",
    "enable javascript", "your browser", "add to cart", "shopping cart", "free shipping", "advertisement",
    "related posts", "related articles", "previous post", "next post", "posted by", "contact us", "about us",
    "site map", "404 not found", "page not found", "lorem ipsum",
)  # fmt: skip
_BULLETS = "•-*+‣●○▪◦|·"
_SHORT_OF = 0.85
_ENDS = np.fromiter(map(ord, ".!?:;\"'”’»)—-"), dtype=np.uint32)
_FURNITURE_LINE = 120
"""Characters of a line that may be furniture; a longer one is a sentence that happens to speak of it."""


def measure(texts: Texts, longest_paragraph: int) -> dict[str, Floats]:
    """Of each text: characters of its longest paragraph, the share of its characters in paragraphs longer than
    `longest_paragraph`, the shares of lines that are items of a list or table, and of furniture [N]."""
    paragraphs, lines = _paragraphs(texts), texts.lines
    lengths = paragraphs.lengths
    in_long = np.where(lengths > longest_paragraph, lengths, 0)
    return {
        "longest_paragraph": maxima(lengths, paragraphs.of),
        "long_paragraph_chars": share(sums(in_long, paragraphs.of), sums(lengths, paragraphs.of)),
        "list_lines": share(sums(_items(texts), lines.of), lines.counts),
        "furniture": share(_furniture(texts), lines.counts),
    }


def _paragraphs(texts: Texts) -> Pieces:
    """The paragraphs, also those that only a line which stops short of the others' width ends: some books are wrapped
    without any empty line."""
    lines, paragraphs = texts.lines, texts.paragraphs
    if not len(lines.start):
        return paragraphs
    of_paragraph = np.searchsorted(lines.first, paragraphs.first)
    width = np.maximum.reduceat(lines.lengths, of_paragraph)
    width = np.repeat(width, np.diff(np.append(of_paragraph, len(lines.start))))
    ends = (lines.lengths < _SHORT_OF * width) & np.isin(texts.codes[lines.end - 1], _ENDS)
    begins = np.append(True, ends[:-1])
    begins[of_paragraph] = True
    return texts.runs(lines.first[begins])


def _furniture(texts: Texts) -> Ints:
    """How many short lines of each text hold one of the phrases [N]."""
    found = np.zeros(len(texts), dtype=np.int64)
    for number in np.flatnonzero(texts.phrases(FURNITURE)).tolist():
        for line in texts.texts[number].lower().split("\n"):
            found[number] += len(line) <= _FURNITURE_LINE and any(phrase in line for phrase in FURNITURE)
    return found


def _items(texts: Texts) -> Bools:
    """Which lines begin with a bullet, a bar or a number and its dot or bracket."""
    first, codes = texts.lines.start, texts.codes
    marks = np.isin(codes[first], np.fromiter(map(ord, _BULLETS), dtype=np.uint32))
    # "- item" and "| cell", but not "-5" or "*emphasis*"
    marks &= (texts.words.lengths[texts.lines.first] == 1) | (codes[first] == ord("|")) | (codes[first] == ord("•"))
    last = texts.words.end[texts.lines.first] - 1
    numbered = ((texts.kinds[first] & DIGIT) != 0) & np.isin(codes[last], np.array([ord("."), ord(")")], np.uint32))
    numbered &= (last - first <= 3) & (texts.lines.end > last + 1)
    items: Bools = marks | numbered
    return items
