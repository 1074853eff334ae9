"""A book's paragraphs, in whichever way they are set off, with its headings flagged."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

LONG_LINE = 140
"""Characters of a line that nobody wrapped."""
_BODY_START = re.compile(r"\*\*\* ?START OF[^\n]*\n")
_BODY_END = re.compile(r"\*\*\* ?END OF|\nEnd of (?:the |this )?Project Gutenberg", re.IGNORECASE)
_HEADING = re.compile(
    r"(?:(?:chapter|book|part|volume|vol\.|act|scene|stave|letter|canto|section)\b[^\n]{0,70}"
    r"|[IVXLC]{1,7}\.?|\d{1,3}\.?|[\W_]{3,60})$",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\[(?:Illustration|Pg|Page|Footnote|Transcriber)[^\]]*\]$", re.IGNORECASE | re.DOTALL)
_EMPTY_LINES = re.compile(r"\n[ \t\r]*(?:\n[ \t\r]*)+")
_LINE = re.compile(r"[^\n]+")
_OPENERS = frozenset("\"“‘'«„")
_CLOSERS = frozenset("\"”’'»")
_FRESH_LINE = re.compile(r"[.!?\"'”’»-]\s*\n[\"“‘'«„]")
"""A line that opens with a mark of speech after a finished one."""

Cuts = Iterator[tuple[int, int]]


class Paragraph(NamedTuple):
    """Characters [start, end) of the book, without white space around them."""

    start: int
    end: int
    heading: bool


def body(text: str) -> tuple[int, int]:
    """The characters of the book proper, without the header and licence of Project Gutenberg."""
    head = _BODY_START.search(text, 0, 40_000)
    start = head.end() if head else 0
    tail = _BODY_END.search(text, max(start, len(text) // 2))
    return start, tail.start() if tail else len(text)


def paragraphs_of(text: str) -> list[Paragraph]:
    """The paragraphs of a book in order, without its pictures and page numbers."""
    start, end = body(text)
    paragraphs = []
    for left, right in _cuts(text, start, end)(text, start, end):
        piece = text[left:right]
        left, right = left + len(piece) - len(piece.lstrip()), right - len(piece) + len(piece.rstrip())
        if left >= right or (text[left] == "[" and _PICTURE.match(text, left, right)):
            continue
        short = right - left < 90
        heading = short and (bool(_HEADING.match(text, left, right)) or _in_capitals(text[left:right]))
        paragraphs.append(Paragraph(left, right, heading))
    return paragraphs


def _cuts(text: str, start: int, end: int) -> Callable[[str, int, int], Cuts]:
    """How this book sets its paragraphs off."""
    lines = text[start:end].strip().split("\n")
    sizes = sorted(len(line) for line in lines if len(line) > 1)
    if not sizes:
        return _at_empty_lines
    empty = 1 - len(sizes) / len(lines)
    if sizes[int(len(sizes) * 0.95)] > LONG_LINE:
        return _at_empty_and_long_lines if empty > 0.3 else _at_lines
    return _at_short_lines if empty < 0.03 else _at_empty_lines


def _at_lines(text: str, start: int, end: int) -> Cuts:
    """Every line is a paragraph."""
    return (match.span() for match in _LINE.finditer(text, start, end))


def _at_empty_lines(text: str, start: int, end: int) -> Cuts:
    """Lines are wrapped, and empty ones part paragraphs."""
    for match in _EMPTY_LINES.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def _at_empty_and_long_lines(text: str, start: int, end: int) -> Cuts:
    """Empty lines part paragraphs, and so does the end of a line too long to be wrapped."""
    for left, right in _at_empty_lines(text, start, end):
        begin, before = left, 0
        for first, last in _at_lines(text, left, right):
            size = last - first
            fresh = before > LONG_LINE or size > LONG_LINE or _FRESH_LINE.search(text, first - 3, first + 1)
            if first > begin and fresh:
                yield begin, first
                begin = first
            before = size
        yield begin, right


def _at_short_lines(text: str, start: int, end: int) -> Cuts:
    """Lines are wrapped, and nothing is empty between paragraphs.

    A line that stops although the next word would still have fitted ends its paragraph if it ends a sentence or is very
    short; so does any line before an indented one, or before the few empty ones that there are.
    """
    lines = list(_at_lines(text, start, end))
    sizes = sorted(right - left for left, right in lines)
    width = sizes[int(len(sizes) * 0.8)] if sizes else 0
    for (left, right), (after, after_end) in itertools.pairwise(lines):
        line = text[left:right].rstrip()
        word = text[after : min(after_end, after + 40)].split(None, 1)
        room = width - len(line) - 1 - (len(word[0]) if word else 0)
        closed = line[-1:] in _CLOSERS
        finished = closed or line[-1:] in ".!?:-—)"
        indented = text[after].isspace()
        answered = closed and text[after] in _OPENERS
        if after > right + 1 or indented or answered or (finished and room > 2) or room > width * 0.4:
            yield start, right
            start = after
    yield start, end


def _in_capitals(line: str) -> bool:
    """A short line all in capitals, without marks of speech."""
    return line.isupper() and len(line) > 3 and line[0] not in "\"'“‘«„—" and line[-1] not in "\"'”’»"
