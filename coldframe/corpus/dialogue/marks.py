"""How a book marks speech, and what is spoken in a paragraph of it."""

from __future__ import annotations

import re
from typing import NamedTuple

from coldframe.corpus.dialogue.paragraphs import body

Span = tuple[int, int]
"""Characters [start, end) of the book."""

_ENDS = ".,!?;:…—–-"
_PAIRS = (("“", "”"), ("«", "»"), ("»", "«"), ("„", "“"), ("„", "”"), ("‹", "›"), ("「", "」"))
_DASH_LINE = re.compile(r"(?:^|\n)[ \t]*(?:—|–|―|--)[ \t]?[\w¿¡«]")
_DASH = re.compile(r"(?:—|–|―|--)\s*")
_SAID_IN = re.compile(
    r"(?:,?\s{0,9}(?:—|–|―|--)\s{0,9}|[,!?…]\s{1,9})"
    r"(?=(?:[a-zà-ÿ'’]+-(?:t-)?(?:il|elle|ils|elles|on|je)\b|"
    r"(?:dit|demanda|répondit|répliqua|reprit|ajouta|s['’]écria)\b|"
    r"dijo|respondió|preguntó|contestó|exclamó|añadió|replicó|disse|rispose|chiese|respondeu|perguntou|"
    r"сказал|ответил|спросил|отвечал|проговорил|"
    r"(?:he|she|I|they|[A-Z]\w+) (?:said|asked|answered|replied|cried)\b|said\b|asked\b))"
)
_SPEECH_AGAIN = re.compile(r"(?:—|–|―|--)[.,;:]?\s*|[.,]\s+(?=[A-ZÀ-ÝА-Я¿¡])")
_APOSTROPHES = re.compile("['‘’]")
_ELISION = re.compile(
    r"(?:tis|twas|twere|twill|twould|twixt|em|im|er|e|is|ere|ee|un|n|til|till|cause|bout|pon|gainst|neath|"
    r"round|tween|mongst|fore|tother|ud|ll|ve|re|d|s|t|o|a|ave|ad|ead|ome|ouse|ow|alf|and|old)\b",
    re.IGNORECASE,
)
"""What stands after an apostrophe that is no mark of speech: 'tis, 'em."""


class Style(NamedTuple):
    """How a book marks speech."""

    kind: str
    """straight, single, pair, dash, or none."""
    opener: str = ""
    closer: str = ""


class Speech(NamedTuple):
    """What is spoken in a paragraph."""

    spans: list[Span]
    left_open: bool
    """The last span was never closed: the next paragraph may go on with it."""
    begins: bool
    """The paragraph opens with a mark of speech."""


def find_style(text: str) -> Style:
    """The marks that close speech most often; none where a book has less than one in 20,000 characters.

    Closings are counted and not openings, for `'tis` and `'em` open nothing, while `,'` is hardly ever an apostrophe.
    """
    start, end = body(text)
    text = _sample(text[start:end])
    counts = {
        Style("straight", '"', '"'): _closings(text, '"'),
        Style("single", "'", "'"): _closings(text, "'"),
        Style("single", "‘", "’"): min(text.count("‘"), _closings(text, "’")),
    }
    for left, right in _PAIRS:
        opened = sum(text.count(gap + left) for gap in "\n\t (—-") + text.startswith(left)
        counts[Style("pair", left, right)] = min(opened, text.count(right)) if opened else 0
    style, count = max(counts.items(), key=lambda found: found[1])
    dashes = len(_DASH_LINE.findall(text))
    if dashes > 2 * count and dashes * 4_000 > len(text):
        return Style("dash", "—")
    return style if count * 20_000 >= len(text) else Style("none")


def speech_in(text: str, start: int, end: int, style: Style) -> Speech:
    """What is spoken in the paragraph text[start:end]."""
    if style.kind == "straight":
        found = _straight(text, start, end)
    elif style.kind == "single":
        found = _single(text, start, end, style)
    elif style.kind == "pair":
        found = _paired(text, start, end, style)
    else:
        found = _dashed(text, start, end)
    spans = []
    for left, right in found.spans:
        piece = text[left:right]
        left, right = left + len(piece) - len(piece.lstrip()), right - len(piece) + len(piece.rstrip())
        if left < right:
            spans.append((left, right))
    return found._replace(spans=spans)


def _sample(text: str, size: int = 60_000, pieces: int = 5) -> str:
    if len(text) <= size * pieces:
        return text
    step = len(text) // pieces
    return "\n".join(text[at : at + size] for at in range(0, step * pieces, step))


def _closings(text: str, mark: str) -> int:
    return sum(text.count(end + mark) for end in _ENDS)


def _beside(text: str, at: int, start: int, end: int) -> tuple[str, str]:
    """The characters before and after a mark; blanks beyond the paragraph."""
    return (text[at - 1] if at > start else " "), (text[at + 1] if at + 1 < end else " ")


def _straight(text: str, start: int, end: int) -> Speech:
    """Straight double marks open and close in turn, which the spaces around them correct."""
    spans: list[Span] = []
    begin, passed = -1, start
    at = text.find('"', start, end)
    while at >= 0:
        before, after = _beside(text, at, start, end)
        opens = not after.isspace() and not (before.isalnum() or before in ".,!?;:")
        closes = not before.isspace() and not after.isalnum()
        if begin >= 0:
            spans.append((begin, at))
            begin = at + 1 if opens and not closes else -1
        elif opens or not closes:
            begin = at + 1
        else:  # its opening is lost, or was written as a single mark: "I get," he said, 'so tired."
            lost = text.rfind(" '", max(passed, spans[-1][1] if spans else start), at)
            if lost >= 0:
                spans.append((lost + 2, at))
        passed = at
        at = text.find('"', at + 1, end)
    if begin >= 0:
        spans.append((begin, end))
    return Speech(spans, begin >= 0, text[start] == '"')


def _single(text: str, start: int, end: int, style: Style) -> Speech:
    """Single marks, told from apostrophes by what stands beside them.

    One after punctuation closes for sure. One after a letter closes only if speech opens anew next, or if the paragraph
    ends without a better one.
    """
    spans: list[Span] = []
    begin = perhaps = -1
    for match in _APOSTROPHES.finditer(text, start, end):
        at = match.start()
        before, after = _beside(text, at, start, end)
        if text[at] == style.opener and not after.isspace() and (before.isspace() or before in '([—–-"_'):
            if _ELISION.match(text, at + 1, end) and style.opener == style.closer and at > start:
                continue
            if begin >= 0 and perhaps >= 0:
                spans.append((begin, perhaps))
                begin, perhaps = at + 1, -1
            elif begin < 0:
                begin = at + 1
        elif text[at] == style.closer and begin >= 0 and not after.isalnum():
            if (before in _ENDS and at > begin) or (before == " " and after.isspace()):
                spans.append((begin, at))
                begin = perhaps = -1
            elif perhaps < 0 and before.isalnum() and not _inside_speech(text, at, end):
                perhaps = at
    if begin >= 0:
        spans.append((begin, perhaps if perhaps >= 0 else end))
    return Speech(spans, begin >= 0 and perhaps < 0, text[start] == style.opener)


def _inside_speech(text: str, at: int, end: int) -> bool:
    """`boys' hats` or `goin' to`: an apostrophe and not a closing mark."""
    return text[at - 1] in "sn" and at + 2 < end and text[at + 1] == " " and text[at + 2].islower()


def _paired(text: str, start: int, end: int, style: Style) -> Speech:
    """Marks whose two sides differ."""
    spans: list[Span] = []
    begin = -1
    for match in re.compile(f"[{style.opener}{style.closer}]").finditer(text, start, end):
        at = match.start()
        if begin >= 0:
            spans.append((begin, at))
        begin = at + 1 if text[at] == style.opener else -1
    if begin >= 0:
        spans.append((begin, end))
    return Speech(spans, begin >= 0, text[start] == style.opener)


def _dashed(text: str, start: int, end: int) -> Speech:
    """A paragraph that opens with a dash is spoken but for the clauses of saying in it: `dit-il`, `he said`."""
    mark = _DASH.match(text, start, end)
    if not mark:
        return Speech([], False, False)
    spans: list[Span] = []
    begin = mark.end()
    for cut in _SAID_IN.finditer(text, begin, end):
        if cut.start() >= begin:
            spans.append((begin, cut.start() + (text[cut.start()] in ",!?…")))
            again = _SPEECH_AGAIN.search(text, cut.end(), end)
            begin = again.end() if again else end
    if begin < end:
        spans.append((begin, end))
    return Speech(spans, False, True)
