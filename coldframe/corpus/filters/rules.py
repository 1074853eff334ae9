"""Which measures a text must keep to, by the kind of its source.

A threshold that suits web pages drops most good conversations, and one for prose drops every list; so each rule says
for which kinds it holds, and where. `None` means that the rule is not for that kind. No rule knows any source's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Limits = Mapping[str, float | None]
TALK = ("chat", "dialogue", "question-answer")
REFERENCE = ("documentation", "code", "dictionary", "encyclopedia", "list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A text is dropped when its measure is beyond the limit of its source's kind."""

    reason: str
    """The name under which drops are counted."""
    measure: str
    """The measure that is looked at."""
    beyond: Literal["above", "below"]
    """On which side of the limit a text is dropped."""
    limit: float | None
    """The limit of every kind that `limits` does not name."""
    limits: Limits = field(default_factory=dict)
    """The limits of other kinds; None where the rule does not hold."""
    from_words: int = 0
    """Texts with fewer words are not judged by this rule."""
    spaced: bool = False
    """Whether it counts words, and so says nothing of languages that are written without spaces."""
    english: bool = False
    """Whether it rests on English words."""
    fixed: bool = False
    """Whether a limit of one's own for its measure is meant for another rule."""

    def limit_for(self, kind: str) -> float | None:
        """The limit for a kind of source, None where the rule does not hold."""
        return self.limits.get(kind, self.limit)


def _kinds(kinds: tuple[str, ...], limit: float | None) -> dict[str, float | None]:
    return dict.fromkeys(kinds, limit)


def _repetition() -> tuple[Rule, ...]:
    """Gopher's limits (Rae et al. 2021, table A1), from a hundred words on: of fewer any few words are much."""
    lines = {"duplicate_lines": 0.30, "duplicate_paragraphs": 0.30, "duplicate_line_chars": 0.20,
             "duplicate_paragraph_chars": 0.20}  # fmt: skip
    runs = {"top_2gram_chars": 0.20, "top_3gram_chars": 0.18, "top_4gram_chars": 0.16}
    runs |= {f"duplicate_{size}gram_chars": 0.15 - 0.01 * (size - 5) for size in range(5, 11)}
    wider = {"documentation": 2.0, "code": 3.0, "dictionary": 2.0, "list": 3.0, "encyclopedia": 1.5}
    return tuple(
        Rule(
            reason="repeated-lines" if name in lines else "repeated-words",
            measure=name, beyond="above", limit=limit, from_words=100, spaced=name in runs,
            limits={kind: limit * factor for kind, factor in wider.items()},
        )
        for name, limit in (lines | runs).items()
    )  # fmt: skip


RULES: tuple[Rule, ...] = (
    Rule(reason="empty", measure="num_words", beyond="below", limit=1, fixed=True),
    Rule(reason="leaked-prompt", measure="leaked_prompt", beyond="above", limit=0.0),
    Rule(reason="secret", measure="secrets", beyond="above", limit=0),
    Rule(reason="personal-data", measure="personal_details", beyond="above", limit=3, limits=_kinds(REFERENCE, 25)),
    Rule(reason="wrong-script", measure="other_script", beyond="above", limit=0.3),
    Rule(reason="wrong-script", measure="other_script_paragraph", beyond="above", limit=None, limits=_kinds(TALK, 0.5)),
    Rule(reason="wrong-language", measure="other_language", beyond="above", limit=0.9,
         limits=_kinds(REFERENCE, 0.99) | _kinds(("code", "dictionary", "list"), None)),
    Rule(reason="encoding-damage", measure="damaged_chars", beyond="above", limit=3.0),
    Rule(reason="scanning-damage", measure="misread_words", beyond="above", limit=0.08, from_words=50, spaced=True,
         limits=_kinds(TALK, 0.2) | _kinds(("code", "documentation", "list", "dictionary"), None)),
    Rule(reason="long-paragraph", measure="long_paragraph_chars", beyond="above", limit=0.8, limits=_kinds(TALK, 0.0)),
    Rule(reason="too-short", measure="num_words", beyond="below", limit=20, spaced=True,
         limits=_kinds(TALK, 2) | _kinds(REFERENCE, 5) | {"dictionary": 2, "list": 2}),
    Rule(reason="word-length", measure="mean_word_length", beyond="above", limit=10, spaced=True,
         limits=_kinds(REFERENCE, 14) | {"code": 30}, from_words=20),
    Rule(reason="word-length", measure="mean_word_length", beyond="below", limit=3, spaced=True, fixed=True,
         limits=_kinds(REFERENCE, 2), from_words=20),
    Rule(reason="symbols", measure="symbols_per_word", beyond="above", limit=0.1, spaced=True, from_words=20,
         limits=_kinds(TALK, 0.3) | _kinds(REFERENCE, 0.2) | {"code": 0.5}),
    Rule(reason="few-letters", measure="letter_words", beyond="below", limit=0.8, spaced=True, from_words=20,
         limits=_kinds(TALK, 0.5) | _kinds(REFERENCE, 0.5) | {"code": 0.3}),
    Rule(reason="no-sentences", measure="stop_words", beyond="below", limit=2, from_words=50, english=True,
         limits=_kinds(TALK, None) | _kinds(REFERENCE, 1) | _kinds(("code", "list", "dictionary"), None)),
    Rule(reason="list-like", measure="list_lines", beyond="above", limit=0.6, from_words=50,
         limits=_kinds(TALK, 0.9) | {"documentation": 0.9} | _kinds(("code", "list", "dictionary"), None)),
    Rule(reason="ellipses", measure="ellipsis_lines", beyond="above", limit=0.3, from_words=50,
         limits=_kinds(TALK, 0.5)),
    Rule(reason="furniture", measure="furniture", beyond="above", limit=0.2, from_words=30,
         limits=_kinds((*TALK, "list", "dictionary", "code"), None)),
    Rule(reason="low-variety", measure="bigram_variety", beyond="below", limit=0.5, from_words=50, spaced=True,
         limits=_kinds(REFERENCE, 0.3)),
    *_repetition(),
    Rule(reason="published-late", measure="years_late", beyond="above", limit=0),
    Rule(reason="anachronisms", measure="anachronisms", beyond="above", limit=1.0, from_words=50),
)  # fmt: skip
"""In the order in which a reason is given: the first that holds."""
