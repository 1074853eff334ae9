"""Conversations in the shapes that people keep them in, as one shape: messages of system, user, assistant and tool."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from coldframe.corpus.documents import clean_text
from coldframe.corpus.messages import Message, conversation
from coldframe.errors import UsageError

TURNS = ("messages", "conversations", "conversation", "turns", "utterances", "dialogue", "dialog", "chat", "history")
"""Names under which a list of turns usually stands, the likeliest first."""
SPEAKER = ("role", "from", "speaker", "author", "sender", "name", "user", "participant")
SAID = ("content", "value", "text", "utterance", "message", "body", "said")
ASKED = ("human", "user", "instruction", "prompt", "question", "query", "input", "q")
ANSWERED = ("assistant", "bot", "gpt", "model", "ai", "output", "response", "answer", "reply", "completion", "a")
_ROLES = {
    "user": ("user", "human", "usr", "customer", "person", "prompter", "client", "guest", "me", "question", "student"),
    "assistant": ("assistant", "gpt", "bot", "model", "chatbot", "ai", "agent", "answer", "chatgpt", "bard", "teacher"),
    "system": ("system", "developer", "instruction"),
    "tool": ("tool", "function", "observation", "ipython", "tool_response", "function_response"),
    "call": ("function_call", "tool_call"),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}


def keys_of(turn: object) -> tuple[str, str] | None:
    """The fields of a turn that say who speaks and what is said; None when it is not one."""
    if not isinstance(turn, Mapping):
        return None
    speaker = next((key for key in SPEAKER if isinstance(turn.get(key), str | int)), None)
    said = next((key for key in SAID if key in turn and key != speaker), None)
    return (speaker, said) if speaker is not None and said is not None else None


def pair_of(turn: object) -> tuple[str, str] | None:
    """The fields of an exchange that say what was asked and what was answered; None when it is not one."""
    if not isinstance(turn, Mapping) or keys_of(turn):
        return None
    by_name = {str(name).lower(): name for name in turn}
    asked = next((by_name[name] for name in ASKED if name in by_name), None)
    answered = next((by_name[name] for name in ANSWERED if name in by_name), None)
    return (asked, answered) if asked is not None and answered is not None else None


def turns_of_pairs(pairs: Sequence[object], first: str = "") -> list[dict[str, Any]]:
    """The turns of a list of exchanges; `first` stands before what is asked first.

    Raises:
        ValueError: when one is none.
    """
    turns: list[dict[str, Any]] = []
    for number, pair in enumerate(pairs, 1):
        keys = pair_of(pair)
        if keys is None or not isinstance(pair, Mapping):
            raise ValueError(f"exchange {number} does not say what was asked and answered")
        if number == 1 and pair.get("system"):
            turns.append({"role": "system", "content": text_of(pair["system"])})
        asked, answered = (text_of(pair[key]) if pair[key] is not None else "" for key in keys)
        asked = "\n\n".join(
            text for text in (first if not turns or turns[-1]["role"] == "system" else "", asked) if text.strip()
        )
        if asked.strip() and answered.strip():
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return turns


def text_of(value: object) -> str:
    """A field as text: a string (also as bytes), a number, a list of these, or a list of parts of which some are text.

    Raises:
        ValueError: when it is none of these.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bytes):
        return clean_text(value.decode("utf-8"))
    if isinstance(value, bool) or value is None:
        raise ValueError(f"is {json.dumps(value)}, not text")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Sequence):
        return "\n".join(_part(part) for part in value)
    raise ValueError(f"is {type(value).__name__}, not text")


def _part(part: object) -> str:
    if isinstance(part, Mapping):
        found = next((part[key] for key in SAID if isinstance(part.get(key), str)), None)
        if found is None:
            raise ValueError(f"has a part without text ({', '.join(map(str, part))[:60]})")
        return clean_text(found)
    if isinstance(part, Sequence) and not isinstance(part, str | bytes):
        raise ValueError("holds a list within a list")
    return text_of(part)


def messages_of(turns: Sequence[object], speaker: str, said: str) -> tuple[Message, ...]:
    """A list of turns as messages.

    Speakers are known by their usual names; `SYSTEM` that answers is the assistant; of two other names the first to
    speak is the user. Neighbouring turns of one speaker are one message.

    Raises:
        ValueError: with what is wrong, also for more than two speakers.
    """
    names = [_name(turn, speaker, number) for number, turn in enumerate(turns, 1)]
    strange = next((name for name in names if name not in _ROLE_OF), None)
    if speaker == "role" and strange is not None:
        raise ValueError(f"message {names.index(strange) + 1} has the role {strange!r}")
    roles = _roles(names)
    found: list[dict[str, Any]] = []
    for turn, name in zip(turns, names, strict=True):
        assert isinstance(turn, Mapping)  # _name
        role, content, call = roles[name], _said(turn.get(said) or ""), _call(turn, said)
        if role == "call":
            role, content, call = "assistant", "", content
        same = found and found[-1]["role"] == role and not found[-1].get("call")
        if same and (content or call):
            found[-1]["content"] = "\n".join(filter(None, (found[-1]["content"], content)))
            found[-1]["call"] = call
        elif content or call or role == "tool":
            found.append({"role": role, "content": content, "call": call})
    return checked(found)


def checked(items: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Messages, if a model could be taught them.

    Raises:
        ValueError: with what is wrong.
    """
    try:
        messages = conversation(items)
    except UsageError as error:
        raise ValueError(error.message) from error
    if not any(message.content.strip() or message.call for message in messages):
        raise ValueError("says nothing")
    return messages


def _name(turn: object, speaker: str, number: int) -> str:
    name = turn.get(speaker) if isinstance(turn, Mapping) else None
    if not isinstance(name, str | int):
        raise ValueError(f"turn {number} does not say in {speaker!r} who speaks")
    return str(name).strip().lower()


def _roles(names: Sequence[str]) -> dict[str, str]:
    """Speaker -> role."""
    roles = {name: _ROLE_OF[name] for name in names if name in _ROLE_OF}
    others = [name for name in dict.fromkeys(names) if name not in roles]
    if not others:
        if "assistant" not in roles.values() and "system" in names[1:]:
            roles["system"] = "assistant"
        return roles
    free = [role for role in ("user", "assistant") if role not in roles.values()]
    if len(others) > len(free):
        raise ValueError(f"has {len(set(names))} speakers ({', '.join(list(dict.fromkeys(names))[:4])})")
    return roles | dict(zip(others, free, strict=False))


def _said(content: object) -> str:
    """What a turn says, without the parts of it that are thoughts or calls."""
    if isinstance(content, list):
        content = [part for part in content if not isinstance(part, Mapping) or part.get("type", "text") == "text"]
    return text_of(content)


def _call(turn: Mapping[Any, Any], said: str) -> str | None:
    """What an assistant asks of a tool, beside the text or among its parts."""
    calls = turn.get("tool_calls") or turn.get("function_call") or turn.get("call")
    content = turn.get(said)
    if not calls and isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping) and "call" in str(part.get("type"))]
        calls = [part[key] for part in parts for key in (*SAID, "input") if part.get(key)][:1]
        calls = calls[0] if calls and isinstance(calls[0], str) else calls
    if not calls:
        return None
    if isinstance(calls, str):
        return clean_text(calls)
    if isinstance(calls, Sequence):
        functions = [call.get("function", call) if isinstance(call, Mapping) else call for call in calls]
        calls = functions[0] if len(functions) == 1 else functions
    return clean_text(json.dumps(calls, ensure_ascii=False, default=str))
