"""Documents become verdicts: all measures of a batch, then the rules of its source's kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coldframe.corpus.documents import Document
from coldframe.corpus.filters import damage, language, leaks, period, private, quality, repetition, script, shape
from coldframe.corpus.filters.rules import RULES, TALK, Rule
from coldframe.corpus.filters.texts import Bools, Floats, Texts
from coldframe.errors import SettingsError, did_you_mean

CHARACTERS_PER_TOKEN = 4
"""Of English text, nearly enough to tell a paragraph that fits from one that does not."""
_LEAST_CONTEXT = 256
"""Tokens that a paragraph may have however little the model sees: ordinary ones of good books are so long."""
_UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "bo")
"""Languages that are written without spaces between words."""
_BATCH = 1 << 20
"""Characters judged at once: enough that arrays are long, little enough that they are small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a source's documents are judged by."""

    kind: str
    """The source's kind, which decides the limits."""
    language: str = "en"
    """What the text should be written in."""
    context: int = 512
    """Tokens that the model will see at once; a longer paragraph gives it no place to begin."""
    last_year: int | None = None
    """For text of an age: the year after which nothing of it may have been written."""
    limits: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    """Limits of its own, measure by measure; None leaves a measure out."""

    def __post_init__(self) -> None:
        known = {rule.measure for rule in RULES}
        for name in self.limits:
            if name not in known:
                raise SettingsError(f"no filter measures {name!r}", advice=did_you_mean(name, sorted(known)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filters say of one document."""

    keep: bool
    reason: str
    """Empty where it is kept, else the first rule's that it broke."""
    features: dict[str, float]
    """Every measure that is not 0."""


def judge(documents: Sequence[Document], criteria: Criteria) -> list[Verdict]:
    """A verdict for each document; the same whatever others stand beside it."""
    verdicts: list[Verdict] = []
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= _BATCH:
            verdicts += _judged(batch, criteria)
            batch, size = [], 0
    return verdicts + _judged(batch, criteria)


def measures(documents: Sequence[Document], criteria: Criteria) -> dict[str, Floats]:
    """Every measure of every document [N]."""
    texts = Texts([document.text for document in documents])
    found = quality.measure(texts) | repetition.measure(texts)
    found |= script.measure(texts, criteria.language)
    found |= language.measure(texts, criteria.language, found["stop_words"])
    found |= shape.measure(texts, max(criteria.context, _LEAST_CONTEXT) * CHARACTERS_PER_TOKEN)
    found |= damage.measure(texts) | private.measure(texts)
    where = "turn" if criteria.kind in TALK else "document"
    found |= leaks.measure([_opening(document) for document in documents], where)
    if criteria.last_year is not None:
        found |= period.measure(texts, criteria.last_year)
    return found


def _opening(document: Document) -> str:
    """What a person is said to have written first: where a captured system prompt would stand.

    In a conversation its first user turn; in a line of `> question / < answer / ...` what stands before the first
    slash between spaces (a bare one would cut addresses); else the text. An assistant's answers are never looked at.
    """
    if document.messages:
        return next((message.content for message in document.messages if message.role == "user"), "")
    return document.text.partition(" / ")[0] if document.text.startswith(">") else document.text


def _judged(documents: Sequence[Document], criteria: Criteria) -> list[Verdict]:
    if not documents:
        return []
    found = measures(documents, criteria)
    reasons = [""] * len(documents)
    for rule in RULES:
        broken = _broken(rule, found, criteria)
        if broken is not None:
            for number in np.flatnonzero(broken):
                reasons[number] = reasons[number] or rule.reason
    columns = {name: np.round(values, 4).tolist() for name, values in found.items()}
    return [
        Verdict(not reason, reason, {name: values[number] for name, values in columns.items() if values[number]})
        for number, reason in enumerate(reasons)
    ]


def _broken(rule: Rule, found: Mapping[str, Floats], criteria: Criteria) -> Bools | None:
    """Which documents break a rule; None where the rule does not hold."""
    own = {} if rule.fixed else criteria.limits
    limit = own.get(rule.measure, rule.limit_for(criteria.kind))
    wanted = criteria.language.split("-")[0].lower()
    if limit is None or rule.measure not in found:
        return None
    if (rule.spaced and wanted in _UNSPACED) or (rule.english and wanted != "en"):
        return None
    values = found[rule.measure]
    beyond: Callable[[Floats, float], Bools] = np.greater if rule.beyond == "above" else np.less
    return beyond(values, limit) & (found["num_words"] >= rule.from_words)
