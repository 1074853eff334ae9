"""Plays: who speaks stands before each speech, in one of five forms, of which a book keeps to one."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

from coldframe.corpus.dialogue.marks import Span
from coldframe.corpus.dialogue.paragraphs import body
from coldframe.corpus.dialogue.words import NO_SPEAKER

_CAPITALS = r"[A-Z][A-Z’'.\- ]{1,28}[A-Z](?:,? (?:and|AND|&) [A-Z][A-Z’'\- ]{1,40})?|[A-Z]{2}"
_ANY = r"[A-Z][\w’'.-]*+(?: (?:of |the |de |and |[IVX]+\b|[A-Z\d][\w’'.-]*+)){0,3}(?: ?[A-Za-z][\w’'-]*+){0,2}"
_LABELS = tuple(
    re.compile(form, re.MULTILINE)
    for form in (
        rf"^[ \t]*_?({_ANY})_?:_?[ \t\r]*$",  # the name and a colon on a line of their own
        rf"^[ \t]*_?({_CAPITALS})[.:]?_?[ \t\r]*$",  # in capitals, alone or centred
        rf"^[ \t]*_?({_CAPITALS})(?:\.?(?:[—–]|--)|[.:])_?(?:[ \t]*[\[(_][^\])\n]{{1,80}}[\])]\.?_?)?[ \t]*(?=[^\s])",
        r"^[ \t]*_?([1-3]? ?[A-Z][a-z]{1,11}(?: [A-Z][a-z]{1,9})?)\._?[ \t]+(?=[^\s])",  # shortened: Ham. Who's there?
        rf"^[ \t]*_?({_ANY})_?:_?[ \t]+(?=[^\s])",  # Hamlet: Who's there?
    )
)
"""How a speaker may be announced; the group is the name."""
_SCENE = re.compile(
    r"^[ \t]*(?:(?:ACT|SCENE|PROLOGUE|EPILOGUE|CURTAIN|THE END|FINIS)\b|(?:Act|Scene)(?:[.:—]| (?:the )?[A-Z\d]))"
    r"[^\n]{0,80}$",
    re.MULTILINE,
)
"""Where a scene begins, or the play ends."""
_DIRECTION = re.compile(
    r"\[[^\]]{1,600}+\]|\((?:_[^_]{1,300}_|[^()]{1,200})\)"
    r"|^[ \t]*_?(?:Enter|Exit|Exeunt|Re-enter|Curtain|Flourish|Alarum|Sennet)\b[^\n]*(?:\n(?![ \t\r]*\n)[^\n]*)*",
    re.MULTILINE,
)
"""What is done on the stage."""
_BARE_TITLES = frozenset(("MR", "MRS", "MESSRS", "DR", "ST", "MME", "MLLE"))
"""With a full stop they begin many a line of a novel: `Mr. Darcy`."""
_OFTEN = 10
"""Speeches of somebody who certainly is a speaker; a play has two such."""
_EVERY = 600
"""Characters from one label to the next on average, at most."""


@dataclass(slots=True)
class _Speech:
    speaker: str
    spans: list[Span]
    scene: int


def play_chains(text: str) -> list[list[tuple[Span, ...]]]:
    """The conversations in a play, as the places of their speeches; none when the text is no play.

    In each two people take turns. A third voice begins the next one, with the speech that it answers before it.
    """
    chains: list[list[_Speech]] = []
    for speech in _speeches(text):
        chain = chains[-1] if chains else []
        if not chain or chain[-1].scene != speech.scene:
            chains.append([speech])
        elif len(chain) == 1 or chain[-2].speaker == speech.speaker:
            chain.append(speech)
        else:
            chains.append([chain[-1], speech])
    return [[tuple(speech.spans) for speech in chain] for chain in chains if len(chain) > 1]


def _speeches(text: str) -> list[_Speech]:
    """Every speech in order, without stage directions; what one speaker says in several goes is one."""
    start, end = body(text)
    labels = _labels(text, start, end)
    if not labels:
        return []
    scenes = [match.start() for match in _SCENE.finditer(text, start, end)]
    ends = [left for _, left, _ in labels[1:]] + [end]
    speeches: list[_Speech] = []
    for (name, _, left), right in zip(labels, ends, strict=True):
        scene = bisect_right(scenes, left)
        if scene < len(scenes):
            right = min(right, scenes[scene])
        spans = _spoken(text, left, right)
        if not spans:
            continue
        if speeches and (speeches[-1].speaker, speeches[-1].scene) == (name, scene):
            speeches[-1].spans += spans
        else:
            speeches.append(_Speech(name, spans, scene))
    return speeches


def _labels(text: str, start: int, end: int) -> list[tuple[str, int, int]]:
    """(name, start, end) of every label, in the form that the text has most of; none when it is no play."""
    best: list[tuple[str, int, int]] = []
    for form in _LABELS:
        found = [
            (" ".join(match.group(1).split()).rstrip("._").upper(), match.start(), match.end())
            for match in form.finditer(text, start, end)
        ]
        found = [label for label in found if label[0].split()[0] not in NO_SPEAKER and label[0] not in _BARE_TITLES]
        counts = Counter(name for name, _, _ in found)
        again = sum(counts[name] >= 2 for name, _, _ in found)
        speakers = sum(count >= _OFTEN for count in counts.values())
        if speakers >= 2 and again * _EVERY > end - start and again > len(best):
            best = [label for label in found if counts[label[0]] >= 2 or label[2] - label[1] < 30]
    return best


def _spoken(text: str, left: int, right: int) -> list[Span]:
    """What stands between stage directions."""
    edges = [left, *(edge for match in _DIRECTION.finditer(text, left, right) for edge in match.span()), right]
    spans = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip(" \t\r\n_"))
        end -= len(piece) - len(piece.rstrip(" \t\r\n_"))
        if any(letter.isalpha() for letter in text[start:end]):
            spans.append((start, end))
    return spans
