"""How a source's texts are written: a few measures of manner, for comparing sources with each other."""

from __future__ import annotations

import re

from coldframe.corpus.curation.sampling import Sample

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)]*(?:\s|$)")
_QUESTION = re.compile(r"\?")
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{2,400})[\"”»]")
_ITEM = re.compile(r"^\s*(?:[-*•+]|\d{1,3}[.)])\s+\S", re.MULTILINE)
_I = re.compile(r"\b(?:I|me|my|mine)\b")
_YOU = re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE)
MEASURES = ("words_per_sentence", "letters_per_word", "questions", "quoted", "items", "first_person", "second_person")
"""Words in a sentence; letters in a word; questions, items of lists, I and you in 1,000 words; share of letters within
quotation marks."""


def styles(sample: Sample) -> list[dict[str, str | float]]:
    """A line for each source."""
    return [
        {"source": name, **_style("\n\n".join(passage.text for passage in sample.passages if passage.source == number))}
        for number, name in enumerate(sample.names)
    ]


def _style(text: str) -> dict[str, float]:
    words = _WORD.findall(text)
    thousands = max(1, len(words)) / 1000
    letters = sum(map(len, words))
    found = {
        "words_per_sentence": len(words) / max(1, len(_SENTENCE_END.findall(text))),
        "letters_per_word": letters / max(1, len(words)),
        "questions": len(_QUESTION.findall(text)) / thousands,
        "quoted": sum(map(len, _QUOTED.findall(text))) / max(1, len(text)),
        "items": len(_ITEM.findall(text)) / thousands,
        "first_person": len(_I.findall(text)) / thousands,
        "second_person": len(_YOU.findall(text)) / thousands,
    }
    return {name: round(value, 3) for name, value in found.items()}
