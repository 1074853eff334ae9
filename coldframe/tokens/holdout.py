"""Which text is held out for validation: a document, or a passage of a long one, by a hash of its own words.

The decision rests on nothing else, so that a source may grow, move or be read in another order and no text
goes from training to validation (the only text of a source that had no other is the one exception); two identical texts
of a source always stand on the same side, and so do those of two sources that are large enough for the share. What a
smaller source gives up instead (`hold_out_below`) is held out there alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import xxhash

from coldframe.corpus.documents import Document
from coldframe.tokens.sentences import last_sentence_end

PASSAGE = 16_000
"""Characters in a passage of a long document, about; a document of up to one and a half passages is not cut."""


def cut_passages(text: str) -> list[str]:
    """The text in passages that join to it again, each cut after a paragraph, else a sentence, else a word.

    The cut-off white space stays where the tokenizer would put it: a new line before the cut, a space after it. Only
    where a sentence follows another without white space may the tokens at the cut be others than without it.
    """
    passages, start = [], 0
    while len(text) - start > PASSAGE + PASSAGE // 2:
        cut = _cut(text, start + PASSAGE // 2, start + PASSAGE)
        passages.append(text[start:cut])
        start = cut
    passages.append(text[start:])
    return passages


def _cut(text: str, low: int, high: int) -> int:
    """The last good place for a cut in text[low:high]."""
    paragraph = text.rfind("\n\n", low, high)
    if paragraph >= 0:
        cut = paragraph + 2
        while cut < high and text[cut] == "\n":
            cut += 1
        return cut
    sentence = last_sentence_end(text, low, high)
    if sentence is not None:
        return sentence
    word = max(text.rfind(" ", low, high), text.rfind("\n", low, high))
    return word if word > low else high


def text_hash(text: str) -> int:
    """A number below 2**64 that depends on the text alone."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"))


def hold_out_below(texts: Iterable[str], share: float) -> int:
    """The number under which a text's hash means that it is held out, for a source made of these documents and
    passages.

    That is `share` of all hashes. A source of which this would hold out nothing, or everything, gives up the text with
    the lowest hash instead; one with a single text (or none but copies of it) gives up none, as nothing would be left
    to learn.
    """
    bound = int(share * 2**64)
    lowest, highest = 2**64, -1
    if share <= 0:
        return 0
    for text in texts:
        value = text_hash(text)
        lowest, highest = min(lowest, value), max(highest, value)
        if lowest < bound <= highest:
            return bound
    return lowest + 1 if lowest < highest else 0


def held_out_texts(document: Document) -> list[str]:
    """The pieces of a document that are held out or not, each as a whole; a conversation is one piece."""
    return [document.text] if document.messages else cut_passages(document.text)
