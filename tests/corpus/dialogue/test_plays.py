"""Plays: who speaks stands before each speech, in five forms; what is done on the stage is not said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coldframe.corpus.dialogue.plays import play_chains
from tests.corpus.dialogue.passages import mill, talk

GATE = (
    ("Elinor", "Who keeps the gate tonight?"),
    ("Porter", "I do, my lady, and have since noon."),
    ("Elinor", "Then open it."),
    ("Duke of York", "I forbid it. (_He draws._) Stand back."),
    ("Porter", "My lord, I obey."),
)
CHAINS = [
    ["Who keeps the gate tonight?", "I do, my lady, and have since noon.", "Then open it."],
    ["Then open it.", "I forbid it. Stand back."],
    ["I forbid it. Stand back.", "My lord, I obey."],
]
FORMS: dict[str, Callable[[str, str], str]] = {
    "a colon on its own line": lambda name, words: f"{name}:\n{words}",
    "in italics on its own line": lambda name, words: f"_{name}:_\n{words}",
    "capitals alone": lambda name, words: f"{name.upper()}\n{words}",
    "capitals in the middle": lambda name, words: f"{'':20}{name.upper()}.\n{words}",
    "capitals": lambda name, words: f"{name.upper()}. {words}",
    "capitals and a colon": lambda name, words: f"  {name.upper()}: {words}",
    "capitals and dashes": lambda name, words: f"{name.upper()}.--{words}",
    "capitals and a long dash": lambda name, words: f"{name.upper()}—{words}",
    "capitals in italics": lambda name, words: f"_{name.upper()}._ {words}",
    "capitals and a direction": lambda name, words: f"{name.upper()}. [_aside to him_] {words}",
    "shortened": lambda name, words: f"{name[:4]}. {words}",
    "shortened in italics": lambda name, words: f"  _{name[:4]}._ {words}",
    "a colon": lambda name, words: f"{name}: {words}",
    "in italics and a colon": lambda name, words: f"_{name}_: {words}",
    "a colon in italics": lambda name, words: f"_{name}:_ {words}",
}


def play(
    form: Callable[[str, str], str] = FORMS["capitals"], scenes: int = 8, between: str = "SCENE II. The same."
) -> str:
    """The scene at the gate several times."""
    scene = "\n\n".join(form(name, words) for name, words in GATE)
    return f"\n\n{between}\n\n".join([scene] * scenes)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_forms_of_labels(form: Callable[[str, str], str], end: str) -> None:
    text = (f"THE GATE\n\nACT I\n\nSCENE I. A gate.\n\n{play(form)}\n").replace("\n", end)
    assert talk(text) == CHAINS * 8


@pytest.mark.parametrize(
    "heading", ["ACT II", "SCENE III. A field.", "Act the Third", "Scene 2", "Scene: a field", "EPILOGUE"]
)
def test_a_scene_ends_every_conversation(heading: str) -> None:
    assert talk(play(between=heading)) == CHAINS * 8


def test_a_line_of_verse_is_no_heading() -> None:
    verse = "Act well thy part, for there the honour lies."
    assert talk(play(between=verse))[3] == [f"My lord, I obey. {verse}", *CHAINS[0]]


@pytest.mark.parametrize(
    "direction",
    [
        "[_Exit Porter._]",
        "[He goes to the gate,\nand comes back.]",
        "(_He goes to the gate._)",
        "(He goes.)",
        "Enter ELINOR, with a lamp,\nand two of her women.",
        "_Exeunt all but Elinor._",
        "Re-enter PORTER.",
    ],
)
def test_what_is_done_is_not_said(direction: str) -> None:
    text = play().replace("since noon.", f"since noon.\n\n{direction}")
    assert talk(text) == talk(text.replace("\n", "\r\n")) == CHAINS * 8
    if direction[0] in "[(":
        assert talk(play().replace("my lady, and", f"my lady, {direction} and")) == CHAINS * 8


def test_one_speech_in_several_goes() -> None:
    """Parted by a direction, or by a label once more."""
    text = play().replace("PORTER. I do, my lady,", "PORTER. I do.\n\n[_A knock._]\n\nPORTER. My lady,")
    assert talk(text)[0][1] == "I do. My lady, and have since noon."


def test_a_line_with_a_colon_is_no_label() -> None:
    line = "Northumberland acknowledged everything: he was there."
    text = play(FORMS["a colon"]).replace("since noon.", f"since noon.\n{line}", 1)
    assert talk(text)[0][1] == f"I do, my lady, and have since noon. {line}"


@pytest.mark.parametrize("last", ["THE END", "FINIS", "CURTAIN", "*** END OF THE PROJECT GUTENBERG EBOOK THE GATE ***"])
def test_what_stands_behind_a_play_is_nobodys_speech(last: str) -> None:
    assert talk(f"{play()}\n\n{last}\n\nPrinted in the Strand.") == CHAINS * 8


def test_what_stands_before_a_play_is_nobodys_speech() -> None:
    text = f"PERSONS OF THE PLAY\n\nELINOR, a widow\nPORTER, her servant\n\nPREFACE. It was cold.\n\nACT I\n\n{play()}"
    assert talk(text) == CHAINS * 8


def test_two_speakers_who_speak_often_make_a_play() -> None:
    assert play_chains(play(scenes=5)), "Elinor and the porter speak ten times each"
    assert not play_chains(play(scenes=4))
    narrated = play().replace("\n\n", "\n\n" + "It rained upon the gate and the field. " * 40 + "\n\n")
    assert not play_chains(narrated), "labels a page apart are none"


def test_a_novel_is_no_play() -> None:
    """Though many of its lines begin as a label would."""
    calls = "\n".join(
        f'Mr. Bennet sat down to book {number}.\nMrs. Bennet spoke:\n"Is it good?"\n"It is not."'
        for number in range(30)
    )
    assert not play_chains(calls)
    assert talk(calls) == [["Is it good?", "It is not."]] * 30
    assert not play_chains("\n\n".join(f"CHAPTER {number}\n\n{mill()}" for number in range(30)))
    assert not play_chains(
        "\n\n".join(f"No. {number}\n\nTHE MILL\n\nNOTE: it rained.\n\n{mill()}" for number in range(30))
    )
