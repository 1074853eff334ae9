"""Who a turn's narration says is speaking: `said Holmes`, `she answered`, `The old man shook his head`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coldframe.corpus.dialogue.marks import Span
from coldframe.corpus.dialogue.words import HE, NOT_NAMES, SHE, TITLES, VERBS

_SHARED_TITLES = frozenset(title.lower() for title in TITLES)

_VERB = "(?:" + "|".join(sorted((v.replace("|", " ") for v in VERBS), key=len, reverse=True)) + ")"
_TITLE = "(?:" + "|".join(TITLES) + r")\b\.?"
_NAME = (
    rf"(?:{_TITLE}\s+){{0,3}}(?:[A-Z]\.\s+)?(?!{_TITLE}\s)[A-Z][\w’'-]*\w"
    r"(?:\s+(?:de |von |van |la |le |of |the )?[A-Z][\w’'-]*\w){0,4}"
)
_NOUN = (
    r"(?:[Tt]he|[Hh]is|[Hh]er|[Mm]y|[Aa]n?|[Oo]ur|[Tt]heir|[Tt]hat|[Aa]nother|[Tt]his)\s+[a-z][\w’'-]*"
    r"(?:\s+[\w’'-]+){0,2}?"
)
_PRONOUN = r"(?:[Hh]e|[Ss]he|I|[Tt]hey|[Ww]e|[Ii]t)\b"
_ADVERBS = (
    r"(?:(?:[a-z]+ly|then|at last|at once|again|only|also|still|now|always|never|once more|quickly|had|would|at length)"
    r",?\s+){0,2}"
)
_SPEAKER = rf"(?:(?P<pronoun>{_PRONOUN})|(?P<name>{_NAME})|(?P<noun>{_NOUN}))"
SAID_X = re.compile(
    rf"[\s,—–-]*(?P<verb>{_VERB})\s+(?:(?P<pronoun>{_PRONOUN})|(?P<name>{_NAME})|(?P<noun>{_NOUN})(?=[\s,.;:—–-]))"
)
"""`said Holmes`, right after speech."""
X_SAID = re.compile(rf"[\s,—–-]*(?:and |but |for |as |so |then )?{_SPEAKER},?\s+{_ADVERBS}(?P<verb>{_VERB})\b")
"""`Holmes said`, right after speech."""
_BEFORE = re.compile(
    rf"(?:^|[\s,;.!?—–-])(?:{_SPEAKER},?\s+{_ADVERBS}(?P<verb>{_VERB})\b"
    rf"|(?P<verb2>{_VERB})\s+(?:(?P<pronoun2>{_PRONOUN})|(?P<name2>{_NAME})))[^.!?]{{0,80}}$"
)
"""The same as the last clause before speech."""
_ACTS = re.compile(
    rf"[\s,—–-]*(?:(?:And|But|Then|So|At last|Here|Presently|Again)[,\s]+)?{_SPEAKER}\s+(?P<verb>{_ADVERBS}\w+)"
)
"""Whoever does something beside speech."""


class Cue(NamedTuple):
    """A guess at who speaks."""

    kind: str
    """name, noun or pronoun."""
    words: tuple[str, ...]
    gender: str
    """he, she, or nothing where that is unknown."""
    said: bool
    """A verb of saying names them; else they do something beside the speech."""
    verb: str


def find_cue(text: str, start: int, end: int, spans: Sequence[Span]) -> Cue | None:
    """Who seems to speak in a turn of the characters [start, end): said X, X said, and last who acts beside it."""
    gaps = [(one[1] + 1, two[0] - 1) for one, two in zip(spans, spans[1:], strict=False)]
    gaps = [(left, right) for left, right in [*gaps, (spans[-1][1] + 1, end)] if right - left >= 4]
    for left, right in gaps:
        piece = text[left : min(right, left + 160)]
        if (match := SAID_X.match(piece) or X_SAID.match(piece)) and (cue := _cue(match, said=True)):
            return cue
    leads = spans[0][0] - start > 4
    if leads:
        piece = text[max(start, spans[0][0] - 161) : spans[0][0] - 1].rstrip()
        if piece.endswith((",", ":", "—", "-", ";")) and (match := _BEFORE.search(piece)):
            cue = _cue(match, said=True)
            if cue:
                return cue
        if (match := _ACTS.match(text[start : min(start + 80, spans[0][0] - 1)])) and (cue := _cue(match, said=False)):
            return cue
    for left, right in gaps:
        if (match := _ACTS.match(text[left : min(right, left + 80)])) and (cue := _cue(match, said=False)):
            return cue
    return None


def learn_genders(text: str, cues: Iterable[Cue | None]) -> dict[str, str]:
    """Of the names that a book's cues give most often: he or she, by the pronouns that follow them in the book."""
    named = Counter(cue.words[-1] for cue in cues if cue and cue.kind == "name" and not cue.gender)
    names = [name for name, _ in named.most_common(60) if name.isalpha() and len(name) > 2]
    if not names:
        return {}
    follows = re.compile(
        rf"\b({'|'.join(name.capitalize() for name in names)})\b[^.!?\"“”A-Z]{{0,70}}?"
        r"\b(he|she|his|her|him|himself|herself)\b"
    )
    votes: dict[str, Counter[str]] = {}
    for match in follows.finditer(text):
        gender = "she" if match.group(2) in ("she", "her", "herself") else "he"
        votes.setdefault(match.group(1).lower(), Counter())[gender] += 1
    genders = {}
    for name, counted in votes.items():
        [(gender, most), *rest] = counted.most_common()
        if counted.total() >= 3 and most > 2 * (rest[0][1] if rest else 0):
            genders[name] = gender
    return genders


def compare(one: Cue | None, two: Cue | None, genders: dict[str, str]) -> str:
    """Whether two cues name one speaker: same_name, same_pronoun, same_gender, two_speakers, or nothing."""
    if one is None or two is None:
        return ""
    kinds = {one.kind, two.kind}
    if kinds == {"pronoun"}:
        return "same_pronoun" if one.words == two.words else "two_speakers"
    if ("i",) in (one.words, two.words):
        return "two_speakers"
    first, second = _gender(one, genders), _gender(two, genders)
    if len(kinds) == 1:
        if one.words[-1] == two.words[-1] or (set(one.words) & set(two.words)) - _SHARED_TITLES:
            return "two_speakers" if first and second and first != second else "same_name"
        return "two_speakers" if kinds == {"name"} else ""
    if first and second:
        return "same_gender" if first == second else "two_speakers"
    return ""


def _gender(cue: Cue, genders: dict[str, str]) -> str:
    return cue.gender or (genders.get(cue.words[-1], "") if cue.kind == "name" else "")


def _cue(match: re.Match[str], *, said: bool) -> Cue | None:
    found = match.groupdict()
    verb = found.get("verb") or found.get("verb2") or ""
    if pronoun := found.get("pronoun") or found.get("pronoun2"):
        word = pronoun.lower()
        return Cue("pronoun", (word,), word if word in ("he", "she") else "", said, verb)
    if name := found.get("name") or found.get("name2"):
        words = [word.strip(".'’,").removesuffix("'s").removesuffix("’s") for word in name.split()]
        if words[0] in NOT_NAMES:
            return None
        return _named("name", words, said, verb)
    return _named("noun", found["noun"].split()[1:], said, verb)


def _named(kind: str, words: Sequence[str], said: bool, verb: str) -> Cue:
    lowered = tuple(word.lower() for word in words)
    gender = next(("she" if word in SHE else "he" for word in lowered if word in SHE or word in HE), "")
    return Cue(kind, lowered, gender, said, verb)
