"""The same measures in plain Python, a text at a time, as their papers describe them: the fast ones must equal them."""

from __future__ import annotations

import re
from collections import Counter

STRETCH = 256


def lines_of(text: str) -> list[list[str]]:
    """The lines that hold something, as their words."""
    return [line.split() for line in text.split("\n") if line.split()]


def paragraphs_of(text: str) -> list[list[str]]:
    """What empty lines divide, and lines too long to have been wrapped, as their words."""
    paragraphs: list[list[str]] = []
    empty = True
    for line in text.split("\n"):
        words, long = line.split(), len(line.strip()) > 160
        if words and (empty or long):
            paragraphs.append([])
        if words:
            paragraphs[-1] += words
        empty = not words or long
    return paragraphs


def extent(text: str, pieces: list[list[str]]) -> list[int]:
    """Characters of each piece from its first word to its last, spaces within counted as they stand."""
    found, at = [], 0
    for words in pieces:
        start = end = -1
        for word in words:
            place = text.index(word, at)
            start = place if start < 0 else start
            at = end = place + len(word)
        found.append(end - start)
    return found


def share(part: float, whole: float) -> float:
    """part / whole, 0 where there is nothing."""
    return part / whole if whole else 0.0


def duplicates(text: str, pieces: list[list[str]]) -> tuple[float, float]:
    """Share of pieces that were there before, and of the text's characters in them."""
    seen: set[tuple[str, ...]] = set()
    again = characters = 0
    for words, length in zip(pieces, extent(text, pieces), strict=True):
        if tuple(words) in seen:
            again, characters = again + 1, characters + length
        seen.add(tuple(words))
    return share(again, len(pieces)), share(characters, len(text))


def top_run(text: str, size: int) -> float:
    """Characters of the most frequent run of words (of equals the first) times its count, over the text's."""
    words = text.split()
    runs = Counter(" ".join(words[at : at + size]) for at in range(len(words) - size + 1))
    if not runs:
        return 0.0
    run, count = runs.most_common(1)[0]
    return share(len(run) * count, len(text))


def repeated_runs(text: str, size: int) -> float:
    """Characters in runs of words that were there before, none counted twice, over the text's."""
    words = text.split()
    seen: set[str] = set()
    characters = at = 0
    while at < len(words) - size + 1:
        run = "".join(words[at : at + size])
        if " ".join(words[at : at + size]) in seen:
            characters += len(run)
            at += size
        else:
            seen.add(" ".join(words[at : at + size]))
            at += 1
    return share(characters, len(text))


def bigram_variety(text: str) -> float:
    """Different pairs of neighbours over all, within stretches."""
    words = text.split()
    different = total = 0
    for at in range(0, len(words), STRETCH):
        stretch = words[at : at + STRETCH]
        pairs = list(zip(stretch, stretch[1:], strict=False))
        different, total = different + len(set(pairs)), total + len(pairs)
    return different / total if total else 1.0


def repetition(text: str) -> dict[str, float]:
    """Every measure of repetition.py."""
    found = {}
    for name, pieces in (("line", lines_of(text)), ("paragraph", paragraphs_of(text))):
        found[f"duplicate_{name}s"], found[f"duplicate_{name}_chars"] = duplicates(text, pieces)
    found["bigram_variety"] = bigram_variety(text)
    found |= {f"top_{size}gram_chars": top_run(text, size) for size in (2, 3, 4)}
    found |= {f"duplicate_{size}gram_chars": repeated_runs(text, size) for size in range(5, 11)}
    return found


def quality(text: str) -> dict[str, float]:
    """Every measure of quality.py."""
    words, lines = text.split(), [line.strip() for line in text.split("\n") if line.strip()]
    number = len(words)
    return {
        "num_words": number,
        "mean_word_length": share(sum(map(len, words)), number),
        "symbols_per_word": share(text.count("#") + text.count("...") + text.count("…"), number),
        "bullet_lines": share(sum(line[0] in "•-*‣●○▪◦" for line in lines), len(lines)),
        "ellipsis_lines": share(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "letter_words": share(sum(any(c.isalpha() for c in word) for word in words), number),
        "stop_words": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words)),
        "ended_lines": share(sum(bool(re.search(r"[.!?:;\"'”’»。！？…]$", line)) for line in lines), len(lines)),
        "short_lines": share(sum(len(line) <= 30 for line in lines), len(lines)),
    }
