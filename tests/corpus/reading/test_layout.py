"""What the fields of rows mean: guessed, and said."""

from __future__ import annotations

import pytest

from coldframe.corpus.reading.layout import Layout, given, guess
from coldframe.errors import SettingsError

TURN = {"role": "user", "content": "hi"}
REPLY = {"role": "assistant", "content": "hello"}
SHARED = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]


def messages(row, layout=None):
    document = (layout or guess([row])).document(row, "place")
    return [(message.role, message.content) for message in document.messages]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [TURN, REPLY]},
        {"conversations": SHARED, "id": "x"},
        {"Conversation": SHARED},
        {"chosen_messages": [TURN, REPLY], "rejected_messages": [TURN, TURN]},
        {"dialogue": ["hi", "hello"], "turns": SHARED},
        {"instruction": "hi", "output": "hello"},
        {"instruction": "hi", "input": "", "output": "hello"},
        {"prompt": "hi", "completion": "hello"},
        {"Question": "hi", "Answer": "hello"},
        {"prompt": "hi", "chosen": "hello", "rejected": "go away"},
        {"prompt": "hi", "chosen": [TURN, REPLY], "rejected": [TURN, TURN]},
        {"prompt": "hi", "chosen": [REPLY], "rejected": [REPLY]},
        {"prompt": [TURN], "chosen": [REPLY], "rejected": [REPLY]},
        {"conversations": SHARED[:1], "chosen": SHARED[1], "rejected": SHARED[1]},
        {"s1": "hi", "s2": "hello", "s3": "", "s4": None},
        ["hi", "hello"],
    ],
)
def test_conversations_are_known_by_their_shape(row):
    assert messages(row) == [("user", "hi"), ("assistant", "hello")]


def test_what_belongs_to_a_question():
    row = {"system": "Be kind.", "instruction": "Translate.", "input": "chat", "output": "cat"}
    assert messages(row) == [("system", "Be kind."), ("user", "Translate.\n\nchat"), ("assistant", "cat")]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{"text": "one", "id": 3}], "one"),
        ([{"title": "A", "body": "one"}], "A\n\none"),
        ([{"word": "cat", "definition": "an animal", "example": "a cat sat"}], "cat\n\nan animal\n\na cat sat"),
        ([{"subject": "Fix", "body": "All of it."}] + 3 * [{"subject": "x", "body": ""}], "Fix\n\nAll of it."),
        ([{"text": b"caf\xc3\xa9"}], "café"),
        ([{"n": 3, "tags": ["a", "b"], "who": {"name": "Bo"}}], "tags: a\n\ntags: b\n\nwho\n\nname: Bo"),
        ([{"text": "<p>one</p><p>two &amp; three</p>"}], "one\n\ntwo & three"),
        (["one"], "one"),
    ],
)
def test_texts_are_known_by_their_names(rows, text):
    assert guess(rows).document(rows[0], "place").text == text


def test_a_text_among_conversations_stays_one():
    rows = [*3 * [["hi", "hello"]], "a riddle"]
    layout = guess(rows)
    assert layout.document(rows[3], "place").text == "a riddle"
    assert messages(rows[0], layout) == [("user", "hi"), ("assistant", "hello")]


@pytest.mark.parametrize(
    ("row", "layout", "reason"),
    [
        ({"messages": []}, Layout(turns="messages"), "no list of turns in 'messages'"),
        ({"messages": [{"x": 1}]}, Layout(turns="messages"), "nobody can tell who speaks"),
        ({"q": "hi", "a": None}, Layout(question=("q",), answer="a"), "no answer in 'a'"),
        ({"q": " ", "a": "hello"}, Layout(question=("q",), answer="a"), "no question in 'q'"),
        ({"1": "hi"}, Layout(columns=("1", "2")), "fewer than two turns"),
        ({"body": "hi"}, Layout(text=("text",)), r"no text in 'text' \(it has body\)"),
        ({"text": [["hi"]]}, Layout(text=("text",)), "the field 'text' holds a list within a list"),
        (["hi", {"a": 1}], Layout(columns=("1", "2")), "is dict, not text"),
        (7, Layout(text=("text",)), "is int, not an object"),
        ({"n": 3}, Layout(), "is empty"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(row, layout, reason):
    with pytest.raises(ValueError, match=reason):
        layout.document(row, "place")


def test_what_holds_itself_is_no_text():
    row: dict[str, object] = {"a": "b"}
    row["self"] = row
    with pytest.raises(ValueError, match="holds more than 1,000,000 fields"):
        Layout().document(row, "place")


def test_names_of_fields_are_cleaned_and_may_be_numbers():
    assert Layout().document({"\ud800kind\x00": "one", 7: "two"}, "place").text == "kind: one\n\n7: two"
    assert guess([{"n" + "9" * 5000: "x"}]).document({"a": "x"}, "place").text == "a: x"


@pytest.mark.parametrize(
    ("settings", "layout"),
    [
        ({"text": "body"}, Layout(text=("body",))),
        ({"text": ["title", "body"]}, Layout(text=("title", "body"))),
        ({"turns": "log", "role": "who", "said": "what"}, Layout(turns="log", role="who", said="what")),
        ({"question": "q", "answer": "a"}, Layout(question=("q",), answer="a")),
        ({"columns": ["a", "b"]}, Layout(columns=("a", "b"))),
    ],
)
def test_a_layout_that_is_said(settings, layout):
    assert given(settings) == layout
    assert str(layout) != str(Layout())


@pytest.mark.parametrize(
    "settings",
    [{}, {"txt": "body"}, {"text": 3}, {"turns": ["a"]}, {"text": "a", "turns": "b"}, {"answer": "a"}, {"text": [1]}],
)
def test_a_layout_that_makes_no_sense(settings):
    with pytest.raises(SettingsError) as caught:
        given(settings)
    assert caught.value.advice


def test_an_answer_that_was_rated_bad_is_set_aside():
    rows = [
        {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": said}], "label": good}
        for said, good in (("Because.", True), ("No.", False))
    ]
    layout = guess(rows)
    assert layout.good == "label"
    assert layout.document(rows[0], "x").messages[1].content == "Because."
    with pytest.raises(ValueError, match="rated bad .label: false"):
        layout.document(rows[1], "x")
    assert guess([{"question": "a", "answer": "b", "label": "x"}]).good == ""
