"""Recipes for the tests, and what a folder holds after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coldframe.corpus.store import TEACHER, unpack
from coldframe.corpus.teacher.answers import ANSWERS
from coldframe.corpus.teacher.ledger import LEDGER

KEY = "sk-test-0123456789abcdef"
PAIRS = (
    ("Pray, what has become of your good uncle?", "He keeps to his bed, sir, and sees nobody."),
    ("Will you do me the favour to ring the bell?", "With the greatest pleasure, my dear."),
    ("Whither goest thou so late?", "To the mill, and home again before the moon is up."),
)


def recipe(url: str, *, count: int = 4, talk: Path | None = None, **settings: object) -> str:
    """A recipe for scenes, and for the questions of a file."""
    values: dict[str, object] = {
        "url": url, "model": "small", "budget_tokens": 1_000_000, "max_tokens": 200, "timeout_seconds": 5.0
    } | settings  # fmt: skip
    lines = ["[teacher]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    if count:
        lines += ["[[teacher.scene]]", 'name = "kitchen"', 'topics = ["baking bread", "a burnt soup"]',
                  'voice = "a patient old baker"', 'with = "a young apprentice"', f"count = {count}"]  # fmt: skip
    if talk is not None:
        lines += ["[[teacher.rewrite]]", 'name = "modern"', f"path = {json.dumps(str(talk))}"]
    return "\n".join(lines) + "\n"


def write_talk(path: Path, pairs: tuple[tuple[str, str], ...] = PAIRS) -> Path:
    """A file of conversations as `coldframe corpus dialogue` writes it: all in one."""
    messages = [
        {"role": role, "content": content}
        for pair in pairs
        for role, content in zip(("user", "assistant"), pair, strict=True)
    ]
    path.write_text(json.dumps({"messages": messages, "source": "a book", "spans": []}) + "\n")
    return path


def documents(folder: Path) -> list[dict[str, Any]]:
    """The lines of the documents file."""
    return list(unpack((folder / "documents.jsonl.zst").read_bytes()))


def provenance(folder: Path) -> list[dict[str, Any]]:
    """What is said of each document's origin."""
    return lines(folder / TEACHER)


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The lines of the ledger."""
    return lines(folder / LEDGER)


def answers(folder: Path) -> list[dict[str, Any]]:
    """The answers that are kept."""
    return lines(folder / ANSWERS)


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def spent(folder: Path) -> int:
    """Tokens that the ledger accounts for, what is unknown at its most."""
    sent, total = {}, 0
    for line in ledger(folder):
        if line["event"] == "sent":
            sent[line["number"]] = line["tokens"]
        else:
            del sent[line["number"]]
            total += line["tokens"]
    return total + sum(sent.values())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a corpus consists of; what was asked and paid stands apart, with its times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.parent.name != "teacher"
    }
