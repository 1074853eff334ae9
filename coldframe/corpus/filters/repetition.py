"""What repeats within a text: its lines, its paragraphs, its runs of words.

The measures of Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", table A1:
shares of lines and paragraphs that were there before, of characters in the most frequent run of 2, 3 or 4 words, and of
characters in runs of 5 to 10 words that were there before, none of which is counted twice. A run of n words can only
occur twice where its first n - 1 words do: so each length looks only at the places that the one before left.
"""

from __future__ import annotations

import numpy as np

from coldframe.corpus.filters.texts import Floats, Hashes, Ints, Pieces, Texts, mixed, share, sums

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
STRETCH = 256
"""Words within which the variety of neighbours is measured, so that a long text is not poorer for its length."""
_FACTOR = np.uint64(0xD6E8FEB86659FD93)


def measure(texts: Texts) -> dict[str, Floats]:
    """The repetition measures of each text, all from 0 to 1 [N]; `bigram_variety` is 1 where no two words repeat."""
    found: dict[str, Floats] = {}
    for name, pieces in (("line", texts.lines), ("paragraph", texts.paragraphs)):
        again = _said_before(texts, pieces)
        found[f"duplicate_{name}s"] = share(sums(again, pieces.of), pieces.counts)
        found[f"duplicate_{name}_chars"] = share(sums(again * pieces.lengths, pieces.of), texts.lengths)
    found["bigram_variety"] = _variety(texts)
    return found | _runs(texts)


def _said_before(texts: Texts, pieces: Pieces) -> Ints:
    """For each piece 1 where its text had the same before, else 0."""
    group, earliest = _grouped(_keyed(texts.hashes(pieces), pieces.text))
    again: Ints = (earliest[group] != np.arange(len(group))).astype(np.int64)
    return again


def _variety(texts: Texts) -> Floats:
    """Different pairs of neighbouring words over all of them, within stretches of words; 1 for a text of one word."""
    text, hashes = texts.text_of_word, texts.word_hashes
    stretch = (np.arange(len(text)) - texts.words.of[text]) // STRETCH
    pairs = np.flatnonzero((text[1:] == text[:-1]) & (stretch[1:] == stretch[:-1]))
    keys = _keyed(hashes[pairs] * _FACTOR + hashes[pairs + 1], text[pairs] + (stretch[pairs] << 32))
    _, earliest = _grouped(keys)
    different = np.bincount(text[pairs][earliest], minlength=len(texts))
    total = np.bincount(text[pairs], minlength=len(texts))
    return np.divide(different, total, out=np.ones(len(texts)), where=total > 0)


def _runs(texts: Texts) -> dict[str, Floats]:
    """Shares of characters in the most frequent runs of words, and in those that were there before."""
    found: dict[str, Floats] = {}
    hashes, lengths = texts.word_hashes, texts.lengths
    until = np.concatenate([[0], np.cumsum(texts.words.lengths)])
    behind_text = texts.words.of[1:][texts.text_of_word]
    places: Ints = np.arange(len(hashes))
    keys = hashes
    for size in range(2, DUPLICATE[-1] + 1):
        fits = places + size <= behind_text[places]
        places, keys = places[fits], keys[fits] * _FACTOR + hashes[places[fits] + size - 1]
        text = texts.text_of_word[places]
        group, _ = _grouped(_keyed(keys, text))
        characters = until[places + size] - until[places]
        if size in TOP:
            found[f"top_{size}gram_chars"] = _most_frequent(texts, size, places, group, characters, until)
        if size in DUPLICATE:
            again = _repeated_characters(places, group, characters, size, text)
            found[f"duplicate_{size}gram_chars"] = share(np.bincount(text, again, len(texts)), lengths)
        twice = np.bincount(group, minlength=1)[group] > 1
        places, keys = places[twice], keys[twice]
    return found


def _grouped(keys: Hashes) -> tuple[Ints, Ints]:
    """The number of each key's group of equal ones, and where each group occurs first."""
    if not len(keys):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    order = np.argsort(keys)
    inorder = keys[order]
    starts = np.concatenate([[True], inorder[1:] != inorder[:-1]])
    group = np.empty(len(keys), dtype=np.int64)
    group[order] = np.cumsum(starts) - 1
    return group, np.minimum.reduceat(order, np.flatnonzero(starts))


def _most_frequent(texts: Texts, size: int, places: Ints, group: Ints, characters: Ints, until: Ints) -> Floats:
    """Characters (with one space between words) of the text's most frequent run, of equals its first, times its count,
    over the text's. Where nothing occurs twice that is its first run, once."""
    first = texts.words.of[:-1]
    fits = texts.words.counts >= size
    best = np.zeros(len(texts), dtype=np.int64)
    best[fits] = until[first[fits] + size] - until[first[fits]] + size - 1
    if len(places):
        counts = np.bincount(group)
        text = texts.text_of_word[places]
        rank = counts[group] * (1 << 40) + ((1 << 40) - 1 - places)  # the most frequent, then the first
        highest = np.zeros(len(texts), dtype=np.int64)
        np.maximum.at(highest, text, rank)
        chosen = np.flatnonzero((rank == highest[text]) & (counts[group] > 1))
        best[text[chosen]] = (characters[chosen] + size - 1) * counts[group[chosen]]
    return share(best, texts.lengths)


def _repeated_characters(places: Ints, group: Ints, characters: Ints, size: int, text: Ints) -> Ints:
    """Characters of each run that was there before, begun only behind the last that was counted; 0 of the others."""
    again = np.zeros(len(places), dtype=np.int64)
    counts = np.bincount(group, minlength=1)
    twice = np.flatnonzero(counts[group] > 1)
    known: set[int] = set()
    behind = 0
    for index, place, one in zip(twice.tolist(), places[twice].tolist(), group[twice].tolist(), strict=True):
        if place < behind:
            continue
        if one in known:
            again[index] = characters[index]
            behind = place + size
        else:
            known.add(one)
    return again


def _keyed(hashes: Hashes, text: Ints) -> Hashes:
    """Hashes that are equal only within one text."""
    return mixed(hashes ^ mixed(text.astype(np.uint64) * np.uint64(2) + np.uint64(1)))
