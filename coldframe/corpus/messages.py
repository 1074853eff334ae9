"""Conversations as data: a checked list of messages with a role, a text and, in the assistant's, a tool call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coldframe.errors import UsageError, did_you_mean

ROLES = ("system", "user", "assistant", "tool")
_ADVICE = 'a message is {"role": "user", "content": "..."} with the roles ' + ", ".join(ROLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; `call` is what the assistant asks of a tool, and the answer is the `tool` message that follows."""

    role: str
    content: str
    call: str | None = None


def conversation(items: object) -> tuple[Message, ...]:
    """The messages in `items` (a list of {role, content, call?}), checked.

    Raises UsageError, which names the message, for anything that the chat template could not render.
    """
    if not isinstance(items, Sequence) or isinstance(items, str | bytes) or not items:
        raise UsageError("messages is not a list with at least one message", advice=_ADVICE)
    messages = tuple(_message(item, number) for number, item in enumerate(items, 1))
    _check_order(messages)
    return messages


def _message(item: object, number: int) -> Message:
    if isinstance(item, Message):
        item = {"role": item.role, "content": item.content, "call": item.call}
    if not isinstance(item, Mapping):
        raise UsageError(f"message {number} is {type(item).__name__}, not an object", advice=_ADVICE)
    role, content, call = item.get("role"), item.get("content"), item.get("call")
    if role not in ROLES:
        raise UsageError(f"message {number} has the role {role!r}", advice=did_you_mean(str(role), ROLES))
    if not isinstance(content, str):
        raise UsageError(f"message {number} has a content that is {type(content).__name__}, not text", advice=_ADVICE)
    if call is not None and (not isinstance(call, str) or role != "assistant"):
        raise UsageError(f"message {number} has a call that is not an assistant's text", advice=_ADVICE)
    return Message(role=role, content=content, call=call)


def _check_order(messages: tuple[Message, ...]) -> None:
    """A call is answered by the next message, and a tool's answer goes back to the assistant."""
    for number, (message, following) in enumerate(zip(messages, messages[1:], strict=False), 1):
        if (message.call is not None) != (following.role == "tool"):
            after = "no call" if message.call is None else "a call"
            raise UsageError(
                f"message {number + 1} is from {following.role!r} after {after}",
                advice="a tool message answers the assistant's call just before it",
            )
        if message.role == "tool" and following.role != "assistant":
            raise UsageError(
                f"message {number + 1} is from {following.role!r}, right after a tool's answer",
                advice="a tool's answer goes to the assistant, whose message comes next",
            )
    if messages[0].role == "tool":
        raise UsageError("the first message is a tool's answer", advice=_ADVICE)
