"""Conversations are checked before they are anything else."""

import pytest

from coldframe.corpus.messages import Message, conversation
from coldframe.errors import UsageError


def said(role, content="hello", **more):
    return {"role": role, "content": content, **more}


def test_conversation_from_plain_objects():
    messages = conversation(
        [said("user"), said("assistant", "", call="clock"), said("tool", "noon"), said("assistant")]
    )
    assert messages[1] == Message(role="assistant", content="", call="clock")
    assert conversation(messages) == messages


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (None, "not a list"),
        ([], "at least one"),
        ("user: hi", "not a list"),
        ([17], "message 1 is int"),
        ([said("usr")], "role 'usr'"),
        ([said("user", None)], "message 1 has a content that is NoneType"),
        ([said("user", call="clock")], "call"),
        ([said("tool")], "first message is a tool's"),
        ([said("user"), said("tool")], "message 2 is from 'tool' after no call"),
        ([said("assistant", call="clock"), said("user")], "message 2 is from 'user' after a call"),
        ([said("assistant", call="clock"), said("tool"), said("user")], "message 3 is from 'user', right after"),
    ],
)
def test_nonsense_is_refused_with_its_place(items, words):
    with pytest.raises(UsageError, match=words) as caught:
        conversation(items)
    assert caught.value.advice
