"""What a source gives: documents, and the bad pieces that were set aside, each with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from coldframe.corpus.messages import Message

# Line ends of every kind become "\n"; other control characters, stray byte order marks and lone surrogates are dropped:
# none of them is text, and surrogates have no UTF-8 form at all.
_LINE_END = re.compile("[\r\x0b\x0c\x85\u2028\u2029]")
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One piece of text that stands on its own: a book, a chapter, a page, a conversation."""

    text: str
    """Clean text (see `clean_text`); of a conversation, the messages' contents one after the other."""
    place: str
    """Where it stands, for people: `folder/file.txt`, `chat.jsonl:17`, `Genesis 1`, `json.decoder`."""
    messages: tuple[Message, ...] = ()
    """The turns, when the document is a conversation."""


@dataclass(slots=True, kw_only=True)
class Quarantine:
    """Counts what could not be read and keeps the first examples, so that the rest can go on."""

    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    """(place, reason) of the first `keep` pieces."""
    keep: int = 20
    try_again: bool = False
    """Whether the system refused something, which another time it may not."""

    def add(self, place: str, reason: str) -> None:
        """Sets one piece aside."""
        self.count += 1
        if len(self.examples) < self.keep:
            self.examples.append((place, reason))

    def __str__(self) -> str:
        if not self.count:
            return "nothing quarantined"
        place, reason = self.examples[0]
        return f"{self.count} quarantined, the first: {place}: {reason}"


Reader = Callable[[Quarantine], Iterator[Document]]
"""Reads a source from its beginning, in the same order each time, one document at a time."""


def clean_text(text: str) -> str:
    """The text with `\\n` as its only line end and without control characters, byte order marks and lone surrogates."""
    text = text.replace("\r\n", "\n")
    return _NOT_TEXT.sub("", _LINE_END.sub("\n", text))
