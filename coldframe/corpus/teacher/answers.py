"""What was asked and what came back, kept: the same request is asked once, however often the work is started."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from coldframe.corpus.teacher.ledger import Lines
from coldframe.errors import TeacherError

ANSWERS = "teacher/answers.jsonl"
_TEMPLATE = 64
"""Tokens that a server may add to a conversation, such as a system prompt of its own, at most."""
_OF_A_MESSAGE = 16


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; it does not depend on where the endpoint stands."""

    body: dict[str, Any]

    @property
    def key(self) -> str:
        """The request's hash."""
        text = json.dumps(self.body, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def most_tokens(self) -> tuple[int, int]:
        """Tokens there and back at most: no tokenizer makes more tokens than there are bytes."""
        contents = [message["content"] for message in self.body["messages"]]
        sent = sum(len(content.encode()) + _OF_A_MESSAGE for content in contents)
        return sent + _TEMPLATE, int(self.body["max_tokens"])


def request_of(
    model: str, messages: list[tuple[str, str]], *, temperature: float, max_tokens: int, seed: int
) -> Request:
    """A request for the next turn after (role, content) messages."""
    said = [{"role": role, "content": content} for role, content in messages]
    return Request(
        {"model": model, "messages": said, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    )


def seed_of(*parts: object) -> int:
    """A seed that follows from what it is for."""
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8], 16) >> 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, and at what cost."""

    key: str
    """The request's."""
    text: str
    finish: str
    """Why it ended: stop, length, or what the server says."""
    host: str
    """Who answered."""
    tokens_in: int
    tokens_out: int
    cost: float
    estimated: bool
    """Whether the server did not say how many tokens it took."""
    attempts: int
    """How often it was asked for in that call, the one that was answered included."""


class Answers:
    """The answers of a folder, by the hash of what was asked."""

    def __init__(self, folder: Path) -> None:
        self._lines = Lines(folder / ANSWERS)
        self._found: dict[str, Answer] = {}
        try:
            for line in self._lines.found:
                self._found[line["key"]] = Answer(**line)
        except (KeyError, TypeError) as error:
            self._lines.close()
            raise TeacherError(
                f"{folder / ANSWERS} holds something else than answers: {error!r}",
                advice="restore the file from a copy, or give another folder",
            ) from error
        self._lines.found.clear()

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, request: Request) -> Answer | None:
        """What was answered; None when that was not asked yet."""
        return self._found.get(request.key)

    def add(self, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns."""
        self._lines.add(dataclasses.asdict(answer))
        self._found[answer.key] = answer
