"""A conversation that is written into one text, with a label before each turn, taken apart again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from coldframe.corpus.documents import clean_text

_ROLES = {
    "human": "user", "user": "user", "instruction": "user", "question": "user", "prompt": "user", "input": "more",
    "context": "more", "assistant": "assistant", "ai": "assistant", "bot": "assistant", "gpt": "assistant",
    "response": "assistant", "output": "assistant", "answer": "assistant", "system": "system",
}  # fmt: skip
#: Each way of labelling: at the beginning of a line, with the label's word in the first group.
_WORDS = "Instruction|Input|Context|Question|Prompt|Response|Output|Answer|Human|User|Assistant|System"
_FORMS = (
    re.compile(rf"^###[ ]?({_WORDS})[ ]?(?::[ \t]*$\n?|:[ \t]*|[ \t]*$\n?)", re.MULTILINE),
    re.compile(r"^(Human|User|Assistant|AI|Bot|System)[ ]?:(?:[ \t]+|$\n?)", re.MULTILINE),
    re.compile(r"^\[?<?(human|user|assistant|bot|gpt|system)>\]?:[ \t]*", re.MULTILINE | re.IGNORECASE),
    re.compile(r"^<\|im_start\|>(user|assistant|system)[ \t]*\n", re.MULTILINE),
)
_CLOSED = re.compile(r"(?:<\|im_end\|>|</s>|<\|endoftext\|>|^###[ ]?End)\s*\Z", re.MULTILINE)
_PREAMBLE = re.compile(r"Below is an? (?:instruction|dialogue|conversation|question)[^\n]*\s*")
"""What templates write before the first label, which says nothing."""


def turns_of(text: str) -> list[dict[str, Any]] | None:
    """The turns of a text that is one conversation from its first label on; None when it is none. An answer that is
    still to come is a last turn without content.
    """
    text = clean_text(text).strip("\n").removeprefix("<s>").lstrip(" \n")
    for form in _FORMS:
        marks = _of_one_kind(list(form.finditer(text)))
        if not marks:
            continue
        before = text[: marks[0].start()]
        said = _PREAMBLE.sub("", before, count=1).strip()
        if said and not before.lstrip().startswith("Below is"):
            continue
        turns = _turns(text, marks)
        roles = [turn["role"] for turn in turns]
        if "user" in roles and "assistant" in roles and roles.index("user") < roles.index("assistant"):
            return [{"role": "system", "content": said}, *turns] if said and "system" not in roles else turns
    return None


def is_labelled(values: Sequence[object]) -> bool:
    """Whether most of these values are conversations with answers, each written into one text."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    found = sum(bool(turns and _last(turns)) for turns in map(turns_of, texts))
    return bool(texts) and found * 2 > len(texts)


def asked_in(text: str) -> list[dict[str, Any]] | None:
    """The turns of a prompt that ends where the assistant is to answer; None of any other text."""
    turns = turns_of(text)
    if turns is None or turns[-1]["role"] != "assistant" or _last(turns):
        return None
    return turns[:-1]


def _of_one_kind(marks: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """The labels that begin turns: of the person and of the assistant the word that comes first, what belongs to a
    question before its answer. A heading within an answer is none."""
    kept: list[re.Match[str]] = []
    words: dict[str, str] = {}
    for mark in marks:
        role = _role(mark)
        if role == "more" and (not kept or _role(kept[-1]) == "assistant"):
            role = "user"
        if role == "more" or words.setdefault(role, mark[1].lower()) == mark[1].lower():
            kept.append(mark)
    return kept


def _role(mark: re.Match[str]) -> str:
    return _ROLES[mark[1].lower()]


def _last(turns: Sequence[dict[str, Any]]) -> str:
    return str(turns[-1]["content"]).strip()


def _turns(text: str, marks: Sequence[re.Match[str]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        role = _role(mark)
        content = _CLOSED.sub("", text[mark.end() : following.start() if following else len(text)]).strip()
        same = turns and (role == "more" or turns[-1]["role"] == role)
        if same:
            turns[-1]["content"] = "\n\n".join(filter(None, (turns[-1]["content"], content)))
        else:
            turns.append({"role": "user" if role == "more" else role, "content": content})
    return turns
