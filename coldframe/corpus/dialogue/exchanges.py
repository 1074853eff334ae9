"""Conversations out of a book: chains of turns each of which answers the one before, cut where a third one speaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from coldframe.corpus.dialogue.cues import compare
from coldframe.corpus.dialogue.links import distances, genders_of
from coldframe.corpus.dialogue.marks import Span, find_style
from coldframe.corpus.dialogue.paragraphs import paragraphs_of
from coldframe.corpus.dialogue.plays import play_chains
from coldframe.corpus.dialogue.turns import Turn, said, turns_of

GAP = 200
"""Characters of narration that may stand between a turn and its answer, as `links.POINTS` lengthens or shortens them.

Of the 28 labelled novels (docs/corpus.md) it keeps 11 pairs in 1,000 words, 96% of them true replies."""


class Spoken(NamedTuple):
    """What one person says in one go."""

    text: str
    spans: tuple[Span, ...]
    """Where its words stand in the book; narration stands between."""


def exchanges(text: str, gap: int = GAP) -> list[list[Spoken]]:
    """The conversations in a novel or play, in order; in each, people take turns.

    The smaller the gap, the fewer and the surer they are. Books without marks of speech have none.
    """
    plays = play_chains(text)
    if plays:
        return [[Spoken(said(text, list(spans)), spans) for spans in chain] for chain in plays]
    style = find_style(text)
    if style.kind == "none":
        return []
    paragraphs = paragraphs_of(text)
    turns = turns_of(text, paragraphs, style)
    genders = genders_of(text, turns)
    apart = distances(text, paragraphs, turns, genders)
    return [
        [Spoken(turn.said(text), tuple(turn.spans)) for turn in turns[first : last + 1]]
        for first, last in _chains(turns, apart, genders, gap)
    ]


def _chains(turns: list[Turn], apart: list[int], genders: dict[str, str], gap: int) -> Iterator[tuple[int, int]]:
    """First and last turn of each conversation.

    Where the cues of a chain cannot be two people in turns, it is cut at its longest distance; the turn there ends one
    conversation and begins the next, so that its answer is not lost.
    """
    begin = 0
    while begin < len(apart):
        end, cut = _chain(turns, apart, genders, gap, begin)
        if end > begin:
            yield begin, end
        begin = end if cut and end > begin else end + 1


def _chain(turns: list[Turn], apart: list[int], genders: dict[str, str], gap: int, begin: int) -> tuple[int, bool]:
    """(last turn of the conversation that begins there, whether it was cut short)."""
    known: tuple[list[int], list[int]] = ([], [])
    end = begin
    while True:
        rival = _rival(turns, genders, end, known[(end - begin) % 2], known[(end - begin + 1) % 2])
        if rival is not None:
            return max(range(rival, end), key=lambda number: (apart[number], number)), True
        if end == len(apart) or apart[end] > gap:
            return end, False
        end += 1


def _rival(
    turns: list[Turn], genders: dict[str, str], here: int, own_side: list[int], other_side: Sequence[int]
) -> int | None:
    """The earlier turn that this one contradicts, if two people speak in turns; else it becomes one of its side.

    Only names and "I" count, for "he" may be two men.
    """
    cue = turns[here].cue
    if cue is None or not cue.said or not (cue.kind == "name" or cue.words == ("i",)):
        return None
    for other in reversed(own_side[-2:]):
        if compare(turns[other].cue, cue, genders) == "two_speakers":
            return other
    for other in reversed(other_side[-2:]):
        before = turns[other].cue
        if before and (before.words == cue.words or compare(before, cue, genders) == "same_name"):
            return other
    own_side.append(here)
    return None
