"""Conversations in the odd shapes in which people keep them."""

from __future__ import annotations

import pytest

from coldframe.corpus.reading.labelled import asked_in, turns_of
from coldframe.corpus.reading.layout import Layout, guess
from tests.corpus.reading.files import read_bytes

ALPACA = "Below is an instruction that describes a task. Write a response that completes the request.\n\n"
ASKED = [("user", "hi"), ("assistant", "hello")]


def messages(row, layout=None):
    document = (layout or guess([row])).document(row, "place")
    return [(message.role, message.content) for message in document.messages]


@pytest.mark.parametrize(
    "text",
    [
        f"{ALPACA}### Instruction:\nhi\n\n### Response:\nhello",
        "### Instruction: hi\n### Response: hello\n",
        "### Instruction\nhi\n### Response\nhello</s>",
        "<s>### Human: hi\n### Assistant: hello",
        "\n\nHuman: hi\n\nAssistant: hello",
        "Human:\nhi\nAI: hello",
        "User: hi\nBot: hello\n",
        "<human>: hi\n<bot>: hello",
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n",
    ],
)
def test_one_text_is_taken_apart(text):
    assert messages({"text": text}) == ASKED
    assert messages({"text": text}, Layout(turns="text")) == ASKED


def test_what_belongs_to_a_turn():
    answer = "## Sum\n\n### Output:\n3\n\n### Answer\nyes"
    text = f"{ALPACA}### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n{answer}"
    assert messages({"text": text}) == [
        ("user", "Add.\n\n1, 2"),
        ("assistant", answer),
    ]
    text = "System: Be kind.\nHuman: a\nb\n\nAssistant: c\nHuman: d\nAssistant: e: f"
    assert messages({"text": text}) == [
        ("system", "Be kind."), ("user", "a\nb"), ("assistant", "c"), ("user", "d"), ("assistant", "e: f")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "He said:\nHuman: hi\nAssistant: hello",
        "Human: hi",
        "Assistant: hello",
        "Assistant: hello\nHuman: hi",
        "# A page\n\n### Input\nSomething.\n\n### Output\nAnother thing.",
        "Human beings: hi",
        "",
    ],
)
def test_other_texts_stay_texts(text):
    assert turns_of(text) is None
    assert not messages({"text": text or "x"})


def test_a_prompt_in_its_wrapping_and_the_answer_beside_it():
    row = {"prompt": f"{ALPACA}### Instruction:\nhi\n\n### Response:\n", "response": "hello"}
    assert messages(row) == ASKED
    row = {"prompt": "\n\nHuman: a\n\nAssistant: b\n\nHuman: hi\n\nAssistant:", "chosen": "hello", "rejected": "no"}
    assert messages(row) == [("user", "a"), ("assistant", "b"), *ASKED]
    assert asked_in("Human: hi\nAssistant: hello") is None


def test_a_preference_without_a_prompt():
    row = {"chosen": "\n\nHuman: hi\n\nAssistant: hello", "rejected": "\n\nHuman: hi\n\nAssistant: no"}
    assert messages(row) == ASKED


def test_a_text_among_labelled_ones_stays_one():
    rows = [*3 * [{"text": "Human: hi\nAssistant: hello"}], {"text": "A story."}]
    layout = guess(rows)
    assert messages(rows[0], layout) == ASKED
    assert layout.document(rows[3], "place").text == "A story."


@pytest.mark.parametrize(
    "pairs",
    [
        [{"human": "hi", "assistant": "hello"}, {"human": "a", "assistant": "b"}],
        [{"user": "hi", "bot": "hello"}, {"user": "a", "bot": "b"}],
        [{"input": "hi", "output": "hello"}, {"input": "", "output": "x"}, {"input": "a", "output": "b"}],
        [{"Question": "hi", "Answer": "hello"}, {"Question": "a", "Answer": None}, {"Question": "a", "Answer": "b"}],
    ],
)
def test_a_list_of_exchanges(pairs):
    found = [*ASKED, ("user", "a"), ("assistant", "b")]
    assert messages({"conversation": pairs, "id": 3}) == found
    assert messages({"data": pairs}) == found
    assert messages(pairs) == found
    assert messages({"talk": pairs}, Layout(turns="talk")) == found


def test_an_exchange_that_is_none_is_said():
    with pytest.raises(ValueError, match="exchange 2 does not say"):
        messages({"conversation": [{"human": "hi", "assistant": "hello"}, {"human": "a"}]})


def test_instances_of_an_instruction():
    row = {
        "id": "s",
        "instruction": "Greet.",
        "instances": [{"input": "hi", "output": "hello"}, {"input": "a", "output": "b"}],
    }
    assert messages(row) == [("user", "Greet.\n\nhi"), ("assistant", "hello"), ("user", "a"), ("assistant", "b")]
    row = {"instruction": "Greet.", "instances": [{"input": "", "output": "hello"}]}
    assert messages(row) == [("user", "Greet."), ("assistant", "hello")]


def test_a_table_of_talk_without_names(tmp_path):
    content = (
        'How are you?,"Well, thank you."\nWhat is a frame?,It holds a pane of glass.\nWhy?,Because of the frost.\n'
    )
    documents, bad = read_bytes(tmp_path, "a.csv", content)
    assert not bad
    assert [len(document.messages) for document in documents] == [2, 2, 2]
    assert documents[0].messages[1].content == "Well, thank you."
    documents, _ = read_bytes(
        tmp_path, "b.tsv", "1\tHow are you today?\tWell.\tx\n2\tAnd you, my dear?\tAs well as that.\tx\n"
    )
    assert [document.messages[0].content for document in documents] == ["How are you today?", "And you, my dear?"]


@pytest.mark.parametrize(
    "content",
    [
        "question,answer\nHow are you?,Well.\n",
        "What is your age?,Do you smoke?\n35,no\n40,yes\n",
        "a,b\nHow are you?,Well.\n",
        "Title,Notes of the day.\nx,y\n",
    ],
)
def test_names_stay_names(tmp_path, content):
    documents, bad = read_bytes(tmp_path, "a.csv", content)
    assert len(documents) + len(bad) == content.count("\n") - 1
