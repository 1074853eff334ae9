"""Conversations outlive the explorer, with the step and the settings of each answer."""

from __future__ import annotations

from pathlib import Path

from coldframe.explore.conversations import Conversations, Message


def test_what_was_said_is_there_again_after_a_restart(tmp_path: Path) -> None:
    first = Conversations(tmp_path / "conversations.db")
    talk = first.begin("a", "chat", "  Hello\n there ")
    first.say(talk, Message(role="user", text="Hello\n there", sampling={}))
    first.say(
        talk,
        Message(role="assistant", text="hm", sampling={"seed": 3}, step=40, weights="live", finish="end", num_tokens=1),
    )
    first.close()
    again = Conversations(tmp_path / "conversations.db")
    listed = again.listed("a")
    assert [(one.title, one.num_messages, one.mode) for one in listed] == [("Hello there", 2, "chat")]
    said = again.messages(talk)
    assert [(one.role, one.text, one.step, one.sampling) for one in said] == [
        ("user", "Hello\n there", None, {}),
        ("assistant", "hm", 40, {"seed": 3}),
    ]
    assert again.listed("b") == [] and again.one(99) is None
    assert again.delete(talk) and not again.delete(talk) and again.messages(talk) == []
    again.close()


def test_what_is_forgotten_stays_so(tmp_path: Path) -> None:
    """An answer that was still being written is dropped, and no later conversation has the old one's number."""
    store = Conversations(tmp_path / "conversations.db")
    talk = store.begin("a", "chat", "Hello")
    store.delete(talk)
    assert store.say(talk, Message(role="assistant", text="late", sampling={})) is None
    assert store.begin("a", "chat", "Hello again") > talk and store.messages(talk) == []
    store.close()


def test_looking_leaves_no_file_behind(tmp_path: Path) -> None:
    store = Conversations(tmp_path / "conversations.db")
    assert store.listed() == [] and not (tmp_path / "conversations.db").exists()
