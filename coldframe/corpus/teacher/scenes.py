"""Scenes: conversations that a teacher model writes on given topics in a given voice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import groupby

from coldframe.corpus.messages import Message
from coldframe.corpus.teacher.answers import Answer, request_of, seed_of
from coldframe.corpus.teacher.faults import borrows, refuses, repeats
from coldframe.corpus.teacher.settings import SceneSettings, TeacherSettings
from coldframe.corpus.teacher.tasks import Judged, Task, spoken

_LABEL = re.compile(r"[\s*_#>\-\d.)(\"“]*([^\W\d_][\w .'’-]{0,39}?)[\s*_]*[:：][\s*_]*(.*)", re.DOTALL)
_LABEL_WORDS = 4
_EXAMPLE = (
    ("user", """Write a conversation of two people about the rain.
A is a guest.
B is a cheerful gardener.
A speaks first, then they take turns, 4 lines in all.
Begin each line with "A: " or "B: ". Write nothing else."""),
    ("assistant", """A: Will it rain all day?
B: I hope so! The beans have been thirsty since Monday.
A: And what do you do when it rains?
B: I sit in the shed, mend my tools and listen."""),
)  # fmt: skip
"""One example, without which small models do not keep to the form."""


def scene_tasks(teacher: TeacherSettings, scene: SceneSettings) -> Iterator[Task]:
    """The scenes that a table of the recipe asks for, its topics in turn."""
    for number in range(scene.count):
        topic = scene.topics[number % len(scene.topics)]
        seed = seed_of("scene", scene.name, number)
        prompt = (
            f"Write a conversation of two people about {topic.strip()}.\n"
            f"A is {scene.with_.strip()}.\n"
            f"B is {scene.voice.strip()}.\n"
            f"A speaks first, then they take turns, {scene.turns} lines in all.\n"
            + (f"{scene.instructions.strip()}\n" if scene.instructions.strip() else "")
            + 'Begin each line with "A: " or "B: ". Write nothing else.'
        )
        yield Task(
            kind="scene",
            name=scene.name,
            place=f"{scene.name} {number + 1:,}: {topic.strip()}",
            request=request_of(
                teacher.model, [*_EXAMPLE, ("user", prompt)],
                temperature=teacher.temperature, max_tokens=teacher.max_tokens, seed=seed,
            ),
            facts={"topic": topic, "voice": scene.voice, "with": scene.with_},
            judge=partial(judge_scene, turns=scene.turns),
        )  # fmt: skip


def judge_scene(answer: Answer, turns: int) -> Judged:
    """The conversation in an answer, and why it is none; what it goes on with behind `turns` turns is left out."""
    text = spoken(answer.text)
    found = turns_of(text)
    messages = tuple(Message(role=role, content=content) for role, content in found[:turns])
    facts = {"turns": len(messages), "turns_left_out": max(0, len(found) - turns)}
    if not text:
        reason = "empty"
    elif refuses(text):
        reason = "refusal"
    elif len({role for role, _ in found[:turns]}) < 2 or not all(content for _, content in found[:turns]):
        reason = "no-turns"
    elif answer.finish == "length" and len(found) <= turns:
        reason = "cut-off"
    elif answer.finish == "content_filter":
        reason = "refusal"
    elif repeats([content for _, content in found[:turns]]):
        reason = "repeats-itself"
    elif borrows(text, [content for _, content in turns_of(_EXAMPLE[1][1])]):
        reason = "example-again"
    else:
        reason = ""
    if reason in ("empty", "no-turns", "refusal"):
        return Judged(text, (), reason, facts)
    return Judged("\n\n".join(message.content for message in messages), messages, reason, facts)


def turns_of(text: str) -> list[tuple[str, str]]:
    """The (role, words) of each turn in lines `A: ...`; A, or whoever speaks first of two names, is the user.

    Lines without a name go on with the turn before; those before the first turn are no part of the conversation.
    Turns of the same speaker one after the other are one.
    """
    lines: list[tuple[str, str, str]] = []  # who, what, and the line as it stands
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _LABEL.fullmatch(line)
        if match and len(match[1].split()) <= _LABEL_WORDS:
            name = match[1].casefold().removeprefix("person ").removeprefix("speaker ")
            lines.append((name, match[2].strip(), line))
        elif lines:
            lines.append(("", line, line))
    names = {name for name, _, _ in lines if name}
    if {"a", "b"} <= names:
        speakers, first = {"a", "b"}, "a"
    elif len(names) == 2:
        speakers, first = names, lines[0][0]
    else:
        return []
    said: list[tuple[str, str]] = []
    for name, content, line in lines:
        if name in speakers:
            said.append((name, content))
        elif said:  # a line without a name, or with one such as "Note:", is a part of what was being said
            said.append((said[-1][0], line))
    return [
        ("user" if name == first else "assistant", _unquoted("\n".join(content for _, content in run).strip()))
        for name, run in groupby(said, key=lambda one: one[0])
    ]


def _unquoted(text: str) -> str:
    """A turn without the marks around the whole of it."""
    for left, right in ('""', "“”"):
        inner = text[1:-1]
        if len(text) > 1 and text[0] == left and text[-1] == right and left not in inner and right not in inner:
            return inner.strip()
    return text.rstrip("*_ ")
