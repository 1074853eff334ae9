"""Leaked system prompts, by shape: many weak signs scored together.

Each sign is a count c in the first ten thousand characters, of which v = c / (c + 1 + length / 3000) is taken, so that
the first few say most and a long text needs more. The score is the weighted sum of them less a bias; above 0 the text
is taken for instructions to an agent. What stands for the first turn of a user has weights of its own: there people do
ask, which documents do not, and most long texts are pasted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from coldframe.corpus.filters.leak_signs import (
    AFTER,
    AGENT_FRONT,
    BIAS,
    BLANK,
    BOLD_LEAD,
    BULLET,
    CAPITALS,
    FOREIGN_MORE,
    FOREIGN_OPENS,
    FOREIGN_YOU,
    HEADING,
    LABEL,
    OPENS_OF_IT,
    OPENS_TO_YOU,
    PAGE_FRONT,
    SECTIONS,
    TAG,
    WEIGHTS,
    WORDS,
)
from coldframe.corpus.filters.texts import Floats

_HEAD, _SHORTEST = 10_000, 150
_OPENING = 900
_FEWEST = 3
"""Families of words of which something has to be there before anything else is looked at; most texts end here."""
_PRESENT = 0.2
_PUNCTUATION = b'\t\n\r!"#$%&()*+,./:;<=>?@[\\]^_`{|}~'
_BLANKED = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))
_SIGN_OF = {
    form.encode(): sign
    for sign, words in WORDS.items()
    for word in words.split()
    for form in (word, word.capitalize(), word.upper())
} | {word.encode(): "capitals" for word in CAPITALS}
_FAMILIES = (*(sign for sign in WORDS if not sign.startswith("against")), "capitals", "you_do", "your")
_BREADTH = (*_FAMILIES, "user_does", "do_not", "opens_to_you", "opens_of_it", "sections")


def measure(texts: Sequence[str], where: str) -> dict[str, Floats]:
    """How much each text looks like instructions to an agent: above 0 it is taken for them; 0 where nothing was looked
    at [N]. `where` is "turn" for what a user says first, else "document"."""
    return {"leaked_prompt": np.array([score(text, where) for text in texts], dtype=np.float64)}


def score(text: str, where: str) -> float:
    """One text's score."""
    found = signs(text)
    if not found:
        return 0.0
    weights = WEIGHTS[where]
    return sum(weights.get(sign, 0.0) * value for sign, value in found.items()) - BIAS[where]


def signs(text: str) -> dict[str, float]:
    """Every sign's value from 0 to 1; none where a first look at the words says that it is not worth another."""
    if len(text) < _SHORTEST:
        return {}
    head = f"\n{text[:_HEAD]}\n"
    content = head.encode("utf-8", "replace")
    ascii_only = len(content) <= 1.01 * len(head)
    counts, flat = _words(content)
    if ascii_only and sum(counts[family] > 0 for family in _FAMILIES) < _FEWEST:
        return {}
    counts.update(_phrases(flat))
    counts.update(_openings(head[:_OPENING], ascii_only))
    counts.update(_layout(head))
    slack = 1 + len(head) / 3000
    values = {sign: count / (count + slack) for sign, count in counts.items() if count}
    values["foreign"] = 0.0 if ascii_only else _foreign(head.lower(), slack)
    front = head.lstrip().startswith("---")
    values["agent_front"] = float(front and bool(AGENT_FRONT.match(head)))
    values["against_front"] = float(front and not values["agent_front"] and bool(PAGE_FRONT.match(head)))
    values["against_brevity"] = max(0.0, 1 - len(head) / 600)
    values["breadth"] = sum(values.get(sign, 0.0) > _PRESENT for sign in _BREADTH) / len(_BREADTH)
    return values


def _words(content: bytes) -> tuple[Counter[str], bytes]:
    """Counts of the families of words, and the text as small words between blanks."""
    flat = content.translate(_BLANKED)
    words = flat.split()
    counts: Counter[str] = Counter(filter(None, map(_SIGN_OF.get, words)))
    lowered = flat.lower().split()
    for first, second in zip(lowered, lowered[1:], strict=False):
        if first in _FOLLOWED and second in _FOLLOWED[first][1]:
            counts[_FOLLOWED[first][0]] += 1
    return counts, b" ".join([b"", *lowered, b""])


_FOLLOWED = {
    b"you": ("you_do", AFTER["you"]),
    b"your": ("your", AFTER["your"]),
    b"user": ("user_does", AFTER["user"]),
}


def _phrases(flat: bytes) -> Counter[str]:
    return Counter(
        {
            "user_does": flat.count(b" the user "),
            "do_not": sum(map(flat.count, (b" do not ", b" don't ", b" must not ", b" should not "))),
            "against_asking": sum(map(flat.count, (b" can you ", b" i want ", b" write a "))),
        }
    )


def _openings(opening: str, ascii_only: bool) -> Counter[str]:
    lowered = opening.lower()
    spoken_to = len(OPENS_TO_YOU.findall(opening)) + (0 if ascii_only else len(FOREIGN_OPENS.findall(lowered)))
    return Counter({"opens_to_you": spoken_to, "opens_of_it": sum(map(lowered.count, OPENS_OF_IT))})


def _layout(head: str) -> Counter[str]:
    titles = [*HEADING.findall(head), *LABEL.findall(head)]
    markup = len(TAG.findall(head)) if ">" in head else 0
    markup += len(BLANK.findall(head)) if any(mark in head for mark in "{[<") else 0
    markup += sum(map(head.count, ('"type"', '"description"', '"parameters"')))
    return Counter(
        {
            "sections": sum(not SECTIONS.isdisjoint(title.lower().split()) for title in titles),
            "bullets": len(BULLET.findall(head)),
            "bold_leads": len(BOLD_LEAD.findall(head)) if "**" in head else 0,
            "markup": markup,
            "against_links": head.count("](") + head.count("http"),
            "against_asking": head.count("?"),
            "against_code": sum(map(head.count, (";\n", "{\n", ">>> ", "\n    "))),
            "against_shell": sum(map(head.count, ("pip install", "git clone", "```bash", "```sh", "npm ", "\ncd "))),
        }
    )


def _foreign(lowered: str, slack: float) -> float:
    """Instructions in another language than English; nothing where nobody is spoken to."""
    values: list[float] = []
    for words in (FOREIGN_YOU, *FOREIGN_MORE):
        count = sum(map(lowered.count, words))
        if not count and not values:
            return 0.0
        values.append(count / (count + slack))
    return sum(values) / len(values)
