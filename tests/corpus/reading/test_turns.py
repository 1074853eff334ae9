"""Conversations in every shape become messages."""

from __future__ import annotations

import datetime

import pytest

from coldframe.corpus.reading.turns import checked, keys_of, messages_of, text_of


def said(turns, speaker="from", text="value"):
    return [(message.role, message.content) for message in messages_of(turns, speaker, text)]


@pytest.mark.parametrize(
    ("turn", "keys"),
    [
        ({"role": "user", "content": "hi"}, ("role", "content")),
        ({"from": "human", "value": "hi"}, ("from", "value")),
        ({"speaker": 1, "utterance": "hi"}, ("speaker", "utterance")),
        ({"name": "Ann", "text": "hi", "id": 3}, ("name", "text")),
        ({"role": "user", "message": None}, ("role", "message")),
        ({"content": "hi"}, None),
        ({"role": "user"}, None),
        ("hi", None),
    ],
)
def test_what_says_who_speaks(turn, keys):
    assert keys_of(turn) == keys


def test_usual_names_of_speakers():
    turns = [{"from": "system", "value": "Be brief."}, {"from": "Human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]
    assert said(turns) == [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yo")]
    turns = [{"from": "USER", "value": "A taxi?"}, {"from": "SYSTEM", "value": "Where to?"}]
    assert said(turns) == [("user", "A taxi?"), ("assistant", "Where to?")]


def test_of_two_other_names_the_first_asks():
    turns = [{"from": name, "value": f"says {name}"} for name in ("Bo", "Al", "Bo")]
    assert [role for role, _ in said(turns)] == ["user", "assistant", "user"]
    with pytest.raises(ValueError, match="has 3 speakers"):
        said([*turns, {"from": "Cy", "value": "me too"}])


def test_neighbouring_turns_of_one_speaker_are_one():
    turns = [{"from": "user", "value": value} for value in ("One.", "", "Two.")] + [{"from": "bot", "value": "Three."}]
    assert said(turns) == [("user", "One.\nTwo."), ("assistant", "Three.")]


def test_calls_and_thoughts():
    turns = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": [
            {"type": "reasoning", "text": "I need a clock."},
            {"type": "text", "text": "I look."},
        ], "tool_calls": [{"type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
        {"role": "tool", "content": "noon"},
        {"role": "assistant", "content": [{"type": "text", "value": "Noon."}]},
    ]  # fmt: skip
    messages = messages_of(turns, "role", "content")
    assert [message.content for message in messages] == ["Time?", "I look.", "noon", "Noon."]
    assert messages[1].call == '{"name": "clock", "arguments": "{}"}'
    turns = [
        {"from": "human", "value": "Time?"},
        {"from": "function_call", "value": "clock()"},
        {"from": "observation", "value": "noon"},
        {"from": "gpt", "value": "Noon."},
    ]
    messages = messages_of(turns, "from", "value")
    assert messages[1].call == "clock()"
    assert messages[1].content == ""


def test_a_call_of_what_json_does_not_know():
    turns = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "", "tool_calls": [{"on": datetime.date(2020, 1, 2)}]},
        {"role": "tool", "content": "noon"},
        {"role": "assistant", "content": "Noon."},
    ]
    assert messages_of(turns, "role", "content")[1].call == '{"on": "2020-01-02"}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\r\nb", "a\nb"),
        (7, "7"),
        (b"caf\xc3\xa9", "café"),
        (["a", 2], "a\n2"),
        ([{"text": "a"}, "b"], "a\nb"),
        ([], ""),
    ],
)
def test_a_field_as_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, True, {"a": 1}, b"\xff", [{"image": 1}], [["a"]], [None]])
def test_a_field_that_is_no_text(value):
    with pytest.raises(ValueError):
        text_of(value)


def test_a_list_that_holds_itself_is_no_text():
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="a list within a list"):
        text_of(value)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([{"role": "robot", "content": "hi"}], "message 1 has the role 'robot'"),
        ([{"role": "user", "content": "hi"}, "hello"], "turn 2 does not say in 'role' who speaks"),
        ([{"role": "user", "content": " "}], "says nothing"),
        ([{"role": "user", "content": ""}], "not a list with at least one message"),
        ([{"role": "tool", "content": "noon"}], "first message is a tool's answer"),
    ],
)
def test_what_is_wrong_is_said(turns, reason):
    with pytest.raises(ValueError, match=reason):
        messages_of(turns, "role", "content")


def test_checked_names_the_message():
    with pytest.raises(ValueError, match="message 2"):
        checked([{"role": "user", "content": "hi"}, {"role": "assistant", "content": 3}])
