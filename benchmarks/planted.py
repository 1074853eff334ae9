"""How many planted faults the filters find in real conversations, and what they drop of the rest: prints JSON.

    python benchmarks/planted.py CHATS... --scripts FOLDER [--each 1000] [--context 512]

CHATS are files or folders of conversations in English. Into copies of some of them are planted: answers in another
script (from the .txt files of FOLDER that are mostly not Latin letters), answers in another language of Latin letters,
paragraphs that the context cannot hold (their own answers, again and again in other orders), loops, and letters that
went through a wrong encoding. What is dropped of those without a fault counts against the filters.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.filters.judging import CHARACTERS_PER_TOKEN, Criteria, judge
from coldframe.corpus.messages import Message
from coldframe.corpus.sources import Source, open_source

Spoil = Callable[[Document, random.Random], Document | None]
_LATIN = re.compile("[A-Za-zÀ-ɏ]")


def with_answer(document: Document, spoiled: Callable[[str], str]) -> Document | None:
    """A conversation with its last answer changed; None without any."""
    for at in range(len(document.messages) - 1, -1, -1):
        message = document.messages[at]
        if message.role == "assistant" and message.content.strip():
            changed = Message(role="assistant", content=spoiled(message.content))
            messages = (*document.messages[:at], changed, *document.messages[at + 1 :])
            text = "\n\n".join(one.content for one in messages)
            return dataclasses.replace(document, messages=messages, text=text)
    return None


def passages(folder: Path, latin: bool) -> list[str]:
    """Paragraphs of the texts that are, or are not, mostly written in Latin letters; English is left out."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        letters = [letter for letter in text if letter.isalpha()]
        is_latin = len(_LATIN.findall(text)) > 0.8 * max(1, len(letters))
        if path.stem != "eng" and is_latin == latin:
            found += [part.strip() for part in text.split("\n") if len(part.strip()) > 60]
    return found


def faults(folder: Path, context: int) -> dict[str, Spoil]:
    """Fault -> what makes it."""
    other, foreign = passages(folder, latin=False), passages(folder, latin=True)

    def oversize(document: Document, draw: random.Random) -> Document | None:
        def long(answer: str) -> str:
            words = answer.split()
            while sum(map(len, words)) < 1.2 * context * CHARACTERS_PER_TOKEN:
                again = answer.split()
                draw.shuffle(again)
                words += again
            return " ".join(words)

        return with_answer(document, long)

    return {
        "other script": lambda document, draw: with_answer(document, lambda answer: draw.choice(other)),
        "other language": lambda document, draw: with_answer(document, lambda answer: draw.choice(foreign)),
        "oversize paragraph": oversize,
        "loop": lambda document, draw: with_answer(document, lambda answer: " ".join(answer.split()[:12] * 30)),
        "wrong encoding": lambda document, draw: with_answer(
            document,
            lambda answer: re.sub("[aeo]", lambda _: draw.choice("éüö—’"), answer).encode().decode("cp1252", "replace"),
        ),
    }


def measure(documents: Sequence[Document], spoil: Spoil, criteria: Criteria, each: int) -> dict[str, object]:
    """Share of one fault that is dropped, and for which reasons."""
    draw = random.Random(0)
    chosen = draw.sample(list(documents), min(each, len(documents)))
    spoiled = [made for one in chosen if (made := spoil(one, draw)) is not None]
    verdicts = judge(spoiled, criteria)
    reasons = Counter(verdict.reason for verdict in verdicts if not verdict.keep)
    return {
        "planted": len(spoiled),
        "found": round(reasons.total() / max(1, len(spoiled)), 4),
        "reasons": dict(reasons.most_common()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chats", type=Path, nargs="+")
    parser.add_argument("--scripts", type=Path, required=True)
    parser.add_argument("--each", type=int, default=1000)
    parser.add_argument("--context", type=int, default=512)
    chosen = parser.parse_args()
    criteria = Criteria(kind="chat", context=chosen.context)
    documents = [
        document
        for number, path in enumerate(chosen.chats)
        for document in open_source(Source(name=f"c{number}", kind="chat", path=str(path))).documents(Quarantine())
        if document.messages
    ]
    dropped = Counter(verdict.reason for verdict in judge(documents, criteria) if not verdict.keep)
    found = {
        name: measure(documents, spoil, criteria, chosen.each)
        for name, spoil in faults(chosen.scripts, chosen.context).items()
    }
    clean = {
        "documents": len(documents),
        "dropped": round(dropped.total() / len(documents), 4),
        "reasons": dict(dropped),
    }
    print(json.dumps({"context": chosen.context, "as they are": clean, "planted": found}, indent=1))


if __name__ == "__main__":
    main()
