"""How far two neighbouring turns are apart: in characters of narration, with what speaks for or against a reply."""

from __future__ import annotations

import re
from collections.abc import Iterator

from coldframe.corpus.dialogue.cues import SAID_X, X_SAID, Cue, compare, learn_genders
from coldframe.corpus.dialogue.paragraphs import Paragraph
from coldframe.corpus.dialogue.turns import Turn
from coldframe.corpus.dialogue.words import NOT_CALLED

FAR = 1 << 20
"""The distance of turns that never belong together."""
_TOO_FAR = 2_000
"""Characters of narration that no sign makes up for."""
POINTS = {
    "paragraph": 200,  # a paragraph of narration lies between
    "lead": 100,  # the answer's paragraph opens with narration
    "lead_first": 40,  # so does the first one's
    "lead_first_long": 40,  # with 100 characters or more
    "same_pronoun": 130,  # "he said" twice running
    "same_gender": 50,  # a name and a pronoun that fits it
    "two_speakers": -130,  # two people are named
    "echo": -80,  # the answer's speaker is whoever spoke before the first turn
    "third_voice": 80,  # or somebody else again
    "same_address": 130,  # both turns call the same person: "sir" ... "sir"
    "addressed": -130,  # one turn calls the other's speaker by name
    "question": -45,  # the first turn ends with a question mark
}
"""What a sign adds to the distance, fitted on 13 of the labelled novels of docs/corpus.md; 80 are about a log-odd."""
_LONG_LEAD = 100
_THINKS = re.compile(r"thought|wonder|mus|reflect")
_CALLS = re.compile(
    r"(?:^|[,;—-]\s+|[.!?]\s+)(?:(?:my|dear|old|good|poor)\s+)*"
    r"((?:(?:Mr|Mrs|Miss|Dr|Lady|Lord|Sir)\.?\s+)?[A-Z][a-z]+|sir|madam|ma['’]am|mamma|papa|mother|father|uncle|aunt|"
    r"dear|boy|fellow|child|lad|friend)(?=[,.!?;—-])"
)
_LOST_DASH = re.compile(r"\s+[\"'”’»]")
"""A blank before the closing mark: the file lost the dash that stood there."""
_FOREIGN_MARKS = frozenset("„«»‹「—–―")
"""Beside these the full stop may stand outside."""
_SPEECH_ENDS = frozenset(".,!?;:…—-–_)*'’”»")


def distances(text: str, paragraphs: list[Paragraph], turns: list[Turn], genders: dict[str, str]) -> list[int]:
    """From each turn to the next; `FAR` where the next cannot be its answer."""
    called = [_called(turn.said(text)) for turn in turns]
    found = []
    for number in range(len(turns) - 1):
        far = _narration(text, paragraphs, turns[number], turns[number + 1])
        if far < _TOO_FAR:
            signs = set(_signs(text, turns, number, genders, called))
            far = FAR if "same_name" in signs else far + sum(POINTS[sign] for sign in signs)
        found.append(far)
    return found


def genders_of(text: str, turns: list[Turn]) -> dict[str, str]:
    """What the book shows of the names in its turns' cues."""
    return learn_genders(text, (turn.cue for turn in turns))


def _narration(text: str, paragraphs: list[Paragraph], one: Turn, two: Turn) -> int:
    """Characters between two turns that tell neither who said the first nor belong to the second."""
    between = paragraphs[one.last + 1 : two.first]
    if any(paragraph.heading for paragraph in between) or not (_is_speech(text, one) and _is_speech(text, two)):
        return FAR
    start, end = min(one.spans[-1][1] + 1, paragraphs[one.last].end), paragraphs[one.last].end
    tag = SAID_X.match(text, start, end) or X_SAID.match(text, start, end) if end - start > 3 else None
    after = text[tag.end() if tag else start : end].strip()
    lead = two.lead if two.lead > 1 else 0
    return sum(paragraph.end - paragraph.start for paragraph in between) + len(after) + lead


def _is_speech(text: str, turn: Turn) -> bool:
    """Whether a turn looks like one, and not like a title, a thought, verse, or a word in quotation marks."""
    start, end = turn.spans[0][0], turn.spans[-1][1]
    if text[start].islower() or any("\n  " in text[left:right] for left, right in turn.spans):
        return False
    if turn.cue and turn.cue.said and _THINKS.match(turn.cue.verb):
        return False
    if text[max(0, start - 2) : start].rstrip()[-1:] in _FOREIGN_MARKS:
        return True
    if text[end - 1] == "," and turn.trail == 0:
        return False
    return text[end - 1] in _SPEECH_ENDS or bool(_LOST_DASH.match(text, end))


def _signs(
    text: str, turns: list[Turn], number: int, genders: dict[str, str], called: list[frozenset[str]]
) -> Iterator[str]:
    """The names in `POINTS`, or same_name, of what is to be seen between a turn and the next."""
    one, two = turns[number], turns[number + 1]
    if two.first > one.last + 1:
        yield "paragraph"
    if two.lead > 1:
        yield "lead"
    if one.lead > 1:
        yield "lead_first"
    if one.lead >= _LONG_LEAD:
        yield "lead_first_long"
    if same := compare(one.cue, two.cue, genders):
        yield same
    if number and turns[number - 1].last + 1 == one.first:
        yield from _alternation(turns[number - 1].cue, two.cue, genders)
    if called[number] & called[number + 1]:
        yield "same_address"
    if _calls(called[number], two.cue) or _calls(called[number + 1], one.cue):
        yield "addressed"
    if text[one.spans[-1][1] - 1] == "?":
        yield "question"


def _alternation(before: Cue | None, answer: Cue | None, genders: dict[str, str]) -> Iterator[str]:
    same = compare(before, answer, genders)
    if same in ("same_name", "same_pronoun"):
        yield "echo"
    elif same == "two_speakers" and before and answer and "pronoun" in (before.kind, answer.kind):
        yield "third_voice"


def _called(words: str) -> frozenset[str]:
    """Whom a turn calls by name or title: `, Watson.`, `Sir,`."""
    names = (match.group(1).split()[-1].lower() for match in _CALLS.finditer(words))
    return frozenset(name for name in names if name not in NOT_CALLED)


def _calls(called: frozenset[str], cue: Cue | None) -> bool:
    return cue is not None and cue.words[-1] in called
