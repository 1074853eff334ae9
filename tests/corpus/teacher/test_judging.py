"""What an answer holds, read tolerantly, and what is wrong with it."""

from __future__ import annotations

import pytest

from coldframe.corpus.teacher.answers import Answer
from coldframe.corpus.teacher.faults import refuses, repeats
from coldframe.corpus.teacher.rewrites import judge_rewrite
from coldframe.corpus.teacher.scenes import judge_scene, turns_of

QUESTION, ANSWER = "Whither goest thou so late?", "To the mill, and home again."


def said(text: str, finish: str = "stop") -> Answer:
    """An answer."""
    return Answer(
        key="", text=text, finish=finish, host="", tokens_in=1, tokens_out=1, cost=0.0, estimated=False, attempts=1
    )


@pytest.mark.parametrize(
    "text",
    [
        "A: Is it hot?\nB: Very hot.",
        "Here is the conversation:\n\nA: Is it hot?\n\nB: Very hot.\n",
        "**A:** Is it hot?\n**B:** Very hot.",
        '1. A: "Is it hot?"\n2. B: “Very hot.”',
        "- A : Is it hot?\n- B : Very hot.",
        "Person A: Is it hot?\nPerson B: Very hot.",
        "Apprentice: Is it hot?\nOld Baker: Very hot.",
        "A:Is it hot?\nB:Very hot.",
    ],
)
def test_turns_are_read_tolerantly(text: str) -> None:
    assert turns_of(text) == [("user", "Is it hot?"), ("assistant", "Very hot.")]


def test_lines_without_a_name_go_on() -> None:
    text = "A: Listen.\nAnd listen well.\nA: Now!\nB: Remember This: never hurry.\nNote: it rises.\nA: Yes."
    assert turns_of(text) == [
        ("user", "Listen.\nAnd listen well.\nNow!"),
        ("assistant", "Remember This: never hurry.\nNote: it rises."),
        ("user", "Yes."),
    ]


@pytest.mark.parametrize("text", ["", "Bread is made of flour.", "A: Alone.\nA: Still alone.", "A: x\nC: y\nD: z"])
def test_what_is_no_conversation(text: str) -> None:
    assert len({role for role, _ in turns_of(text)}) < 2


def test_turns_beyond_what_was_asked_are_left_out() -> None:
    """A small model goes on for ever; what was asked for is whole by then."""
    judged = judge_scene(said("A: One.\nB: Two.\nA: Three.\nB: Fo", "length"), 2)
    assert ([message.content for message in judged.messages], judged.reason) == (["One.", "Two."], "")
    assert judged.facts == {"turns": 2, "turns_left_out": 2}
    assert judge_scene(said("A: One.\nB: Tw", "length"), 2).reason == "cut-off"


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("<think>Two people, one oven.</think>\nA: Hot?\nB: Hot.", "stop", ""),
        ("<think>Two people, one", "length", "empty"),
        ("  \n", "stop", "empty"),
        ("I'm sorry, but I can't help with that.", "stop", "refusal"),
        ("A: Hello.\nB: I am a large language model.", "stop", "refusal"),
        ("A: I cannot find my hat.\nB: I cannot help you to it.", "stop", ""),
        ("A: I work as an assistant baker.\nB: And well.", "stop", ""),
        ("A: Hello.\nB:", "stop", "no-turns"),
        ("A: Hello.\nB: The beans have been thirsty since Monday!", "stop", "example-again"),
        ("A: Hello.\nB: Never.", "content_filter", "refusal"),
    ],
)
def test_scenes(text: str, finish: str, reason: str) -> None:
    assert judge_scene(said(text, finish), 6).reason == reason


@pytest.mark.parametrize(
    ("text", "new", "reason"),
    [
        ("Where are you off to so late?", "Where are you off to so late?", ""),
        ('"Where are you going?"', "Where are you going?", ""),
        ("Sure, here it is in modern English: Where are you going?", "Where are you going?", ""),
        ("Rewritten: Where are you going?", "Where are you going?", ""),
        ("<think>hm</think> Where to?", "Where to?", ""),
        ("", "", "empty"),
        ("whither goest thou, so late", "whither goest thou, so late", "unchanged"),
        (f"Where to?\nAnswer: {ANSWER}", "Where to?", ""),
        ("Where to?\nAnswer: To the pub.", "Where to?", "changed-answer"),
        ("I cannot rewrite that.", "I cannot rewrite that.", "refusal"),
        ("As an AI language model I go nowhere.", "As an AI language model I go nowhere.", "refusal"),
        ("Could you tell me what time it is now?", "Could you tell me what time it is now?", "example-again"),
        ("go on and on and go on and on and go on and on", "go on and on and go on and on and go on and on",
         "repeats-itself"),
    ],
)  # fmt: skip
def test_rewrites(text: str, new: str, reason: str) -> None:
    judged = judge_rewrite(said(text), QUESTION, ANSWER)
    assert [message.content for message in judged.messages] == [new, ANSWER], "the answer is the book's"
    assert judged.reason == reason


def test_rewrite_that_is_cut_off() -> None:
    assert judge_rewrite(said("Where are you", "length"), QUESTION, ANSWER).reason == "cut-off"


def test_who_could_not_before_still_cannot() -> None:
    assert refuses("I can't find it.", "Where is it?")
    assert not refuses("I can't find it.", "I cannot find it, sir.")


def test_repetition() -> None:
    assert repeats(["the kettle is on", "yes", "The kettle, is on!"])
    assert not repeats(["Yes.", "No.", "Yes.", "No."])
