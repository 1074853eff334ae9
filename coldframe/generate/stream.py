"""Bytes become text as they come: characters are never broken, and stop texts never shown in part."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Holds back what may still become something else: the bytes of half a character, the beginning of a stop text.

    What was given out, end to end, is the whole text decoded at once (invalid bytes as U+FFFD), up to the stop text
    that ends first; how the bytes were cut into pieces makes no difference.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        """Whether a stop text was met; nothing comes after it."""
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, data: bytes) -> str:
        """Take the next bytes; gives the text that is now certain."""
        return self._certain(self._decoder.decode(data))

    def finish(self) -> str:
        """End the stream; gives what was held back, half a character as U+FFFD."""
        text = self._certain(self._decoder.decode(b"", final=True))
        text, self._held = text + self._held, ""
        return text

    def _certain(self, new: str) -> str:
        text, self._held = self._held + new, ""
        if self.stopped:
            return ""
        met = [(start + len(stop), start) for stop in self._stop if (start := text.find(stop)) >= 0]
        if met:
            self.stopped = True
            return text[: min(met)[1]]
        end = len(text) - max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[end:]
        return text[:end]


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of the text with which the stop text begins."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
