"""What is wanted of the teacher: a request, and how its answer becomes a document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from coldframe.corpus.messages import Message
from coldframe.corpus.teacher.answers import Answer, Request

_THOUGHTS = re.compile(r"\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer holds."""

    text: str
    messages: tuple[Message, ...]
    """Empty where it is no conversation."""
    reason: str
    """Why it is not what was asked for; empty when it is."""
    facts: dict[str, Any]
    """For its provenance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One document to be."""

    kind: Literal["scene", "rewrite"]
    name: str
    """The table of the recipe that asks for it."""
    place: str
    """For people, and the only one of its name."""
    request: Request
    judge: Callable[[Answer], Judged]
    facts: dict[str, Any] = field(default_factory=dict)
    """For its provenance: what it was made from."""


def spoken(text: str) -> str:
    """An answer without a model's thoughts before it."""
    return _THOUGHTS.sub("", text, count=1).strip() if text.lstrip().startswith("<think") else text.strip()
