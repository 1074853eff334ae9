"""The turns of a novel: every paragraph with speech in it, with what its narration says of the speaker."""

from __future__ import annotations

from dataclasses import dataclass

from coldframe.corpus.dialogue.cues import Cue, find_cue
from coldframe.corpus.dialogue.marks import Span, Style, speech_in
from coldframe.corpus.dialogue.paragraphs import Paragraph


@dataclass(slots=True)
class Turn:
    """The speech of a paragraph, or of several of which each was left open for the next."""

    spans: list[Span]
    first: int
    """Its first paragraph, by number."""
    last: int
    lead: int
    """Characters of narration before the first spoken word."""
    trail: int
    """And after the last one."""
    cue: Cue | None = None

    def said(self, text: str) -> str:
        """The spoken words in one line."""
        return said(text, self.spans)


def said(text: str, spans: list[Span]) -> str:
    """The words of some spans in one line."""
    return " ".join(" ".join(text[left:right].split()) for left, right in spans)


def turns_of(text: str, paragraphs: list[Paragraph], style: Style) -> list[Turn]:
    """Every turn of a book in order."""
    turns: list[Turn] = []
    open_turn: Turn | None = None
    for number, paragraph in enumerate(paragraphs):
        speech = None if paragraph.heading else speech_in(text, paragraph.start, paragraph.end, style)
        if not speech or not speech.spans:
            open_turn = None
            continue
        if open_turn and speech.begins:
            turn = open_turn
            turn.spans.extend(speech.spans)
            turn.last = number
        else:
            lead = max(0, speech.spans[0][0] - paragraph.start - 1)
            turn = Turn(spans=speech.spans, first=number, last=number, lead=lead, trail=0)
            turns.append(turn)
        turn.trail = max(0, paragraph.end - speech.spans[-1][1] - 1)
        open_turn = turn if speech.left_open else None
    for turn in turns:
        turn.cue = find_cue(text, paragraphs[turn.first].start, paragraphs[turn.last].end, turn.spans)
    return turns
