"""What an answer may be instead of what was asked for: a refusal, the same again and again, the prompt's example."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ABOUT_ITSELF = re.compile(
    r"\b(?:as|I['’]?m|I am)(?: just| only)? an? (?:\w+ )?(?:ai|artificial intelligence|language model)\b"
    r"|\bmy training data\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"\W*(?:I(?:['’]m| am) (?:very |so )?sorry|I apologi[sz]e|sorry|unfortunately)?\W*(?:but )?\W*"
    r"I(?:['’]m| am)? ?(?:cannot|can['’]t|can not|am unable to|unable to|not able to|won['’]t be able to)\b",
    re.IGNORECASE,
)
_BORROWED = 5
"""Words in a row that nobody says by chance."""
_RUN, _MOST_AGAIN = 4, 0.25
"""Words that are compared at once, and the share of such runs that may have been there before."""


def refuses(text: str, original: str = "") -> bool:
    """Whether an answer speaks of itself as a model, or opens by saying that it cannot, which the original did not."""
    return bool(_ABOUT_ITSELF.search(text)) or bool(_OPENING.match(text) and not _OPENING.match(original))


def repeats(turns: list[str]) -> bool:
    """Whether a longer turn is said twice, or runs of words come again and again."""
    said = [words(turn) for turn in turns]
    longer = [tuple(turn) for turn in said if len(turn) >= _RUN]
    if len(set(longer)) < len(longer):
        return True
    runs = [tuple(turn[place : place + _RUN]) for turn in said for place in range(len(turn) - _RUN + 1)]
    return len(runs) > _RUN and len(runs) - len(set(runs)) > _MOST_AGAIN * len(runs)


def borrows(text: str, examples: Iterable[str], original: str = "") -> bool:
    """Whether an answer holds a run of words of the prompt's examples, which the original does not."""
    taken = set().union(*(_runs(example) for example in examples)) - _runs(original)
    return not taken.isdisjoint(_runs(text))


def _runs(text: str) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[place : place + _BORROWED]) for place in range(len(said) - _BORROWED + 1)}


def words(text: str) -> list[str]:
    """A text's words, without capitals and marks."""
    return re.findall(r"\w+", text.lower())
