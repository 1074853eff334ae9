"""`coldframe corpus curate`: gaps become proposals, which a person accepts into a recipe."""

from __future__ import annotations

import tomllib

import orjson
import pytest

from coldframe.corpus.ingest import ingest
from coldframe.corpus.sources import Source
from coldframe.settings import load_settings
from coldframe.train.opening import sources_of

TALK = (
    '"Where have you been, Anna?" asked the miller.\n\n"By the {0}," she said.\n\n'
    '"And was the {0} full?"\n\n"It was."\n\n'
)
STORY = "The water in the {0} stood high that year, and whoever went along it saw the {1} from far away. "


@pytest.fixture
def books(tmp_path):
    """Books with talk in them."""
    home = tmp_path / "texts"
    home.mkdir()
    nouns = ["river", "pond", "well", "sea", "brook", "lake", "canal", "mill", "bridge", "wood", "field", "tower"]
    for number in range(40):
        parts = [TALK.format(nouns[(number + n) % 12]) + STORY.format(*nouns[n : n + 2]) * 3 for n in range(8)]
        (home / f"{number}.txt").write_text("\n\n".join(parts))
    ingest(Source(name="books", kind="prose", path=str(home)), tmp_path / "books")
    return tmp_path / "books"


@pytest.fixture
def chats(tmp_path):
    """Chats that could be added."""
    path = tmp_path / "chats.jsonl"
    rows = [{"question": f"What is the number of house {n}?", "answer": f"It is {n}, of course."} for n in range(300)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    ingest(Source(name="chats", kind="chat", path=str(path)), tmp_path / "chats")
    return tmp_path / "chats"


def test_what_is_seen(coldframe, books, chats):
    seen = coldframe("corpus", "curate", books, "--candidate", chats, "--tokens", "1e6", "--json").json
    assert {gap["name"] for gap in seen["gaps"]} >= {"text", "talk", "reference"}
    names = {proposal["name"]: proposal for proposal in seen["proposals"]}
    assert names["chats"]["measured"] and names["chats"]["tokens"] > 1000
    assert names["books-talk"]["dialogue"] == 200 and "conversation" in names["books-talk"]["fills"]
    assert not names["wikipedia"]["measured"], "nothing that was offered explains things"
    assert "smoltalk" not in names, "talk is offered"
    assert seen["balance"][0]["epochs"] > 4
    assert orjson.loads((books / "quality.json").read_bytes())["median"] == seen["quality"]["books"]["median"]
    table = coldframe("corpus", "curate", books, "--candidate", chats)
    assert "add chats (chat, " in table.out and "gap: hardly any conversation" in table.out


def test_a_page_of_it_is_kept_and_survives_a_new_report(coldframe, tmp_path, books):
    runs = tmp_path / "runs"
    seen = coldframe("corpus", "curate", books, "--page", "mine", "--runs", runs, "--json").json
    path = runs / "corpus" / "reports" / "mine.json"
    first = orjson.loads(path.read_bytes())
    assert seen["page"] == "/corpus/mine" and first["curation"]["topics"] == seen["topics"]
    assert first["sources"][0]["quality"] == seen["quality"]["books"]["median"]
    assert coldframe("corpus", "report", books, "--page", "mine", "--runs", runs, "--tokens", "1e6").status == 0
    assert orjson.loads(path.read_bytes())["curation"] == first["curation"]
    assert coldframe("corpus", "curate", books, "--page", "../mine", "--runs", runs).status == 2


def test_an_accepted_proposal_is_a_source_of_the_recipe(coldframe, tmp_path, books, chats):
    recipe = tmp_path / "recipes" / "own.toml"
    recipe.parent.mkdir()
    recipe.write_text(
        '# mine\n[plan]\ndepth = 2\n\n[[corpus.source]]\nname = "books"\nkind = "prose"\npath = "../books"\n'
    )
    seen = coldframe("corpus", "curate", books, "--candidate", chats, "--json").json
    numbers = {proposal["name"]: str(proposal["number"]) for proposal in seen["proposals"]}
    accept = ("corpus", "curate", books, "--candidate", chats, "--recipe", recipe, "--why", "it should answer")
    answer = coldframe(*accept, "--accept", numbers["chats"], "--accept", numbers["books-talk"], "--json")
    assert answer.json["accepted"] == ["chats", "books-talk"]
    assert recipe.read_text().startswith("# mine\n")
    added = tomllib.loads(recipe.read_text())["corpus"]["source"][1]
    assert added["path"] == "../chats" and added["why"].startswith("it should answer (hardly any conversation")
    named = sources_of(load_settings(recipe).sources)
    assert [(source.name, source.kind, source.dialogue) for source in named] == [
        ("books", "prose", None), ("chats", "chat", None), ("books-talk", "dialogue", 200),
    ]  # fmt: skip
    again = coldframe(*accept, "--accept", numbers["chats"])
    assert again.status != 0 and "has a source 'chats' already" in again.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--accept", "1"], "give --recipe FILE and --why"),
        (["--accept", "77", "--recipe", "r.toml", "--why", "x"], "there is no proposal 77"),
    ],
)
def test_what_cannot_be_accepted(coldframe, books, more, said):
    answer = coldframe("corpus", "curate", books, *more)
    assert answer.status == 2 and said in answer.err


def test_a_set_that_was_never_read_is_not_accepted(coldframe, tmp_path, books):
    seen = coldframe("corpus", "curate", books, "--json").json
    number = next(str(one["number"]) for one in seen["proposals"] if not one["measured"])
    answer = coldframe("corpus", "curate", books, "--accept", number, "--recipe", tmp_path / "r.toml", "--why", "x")
    assert answer.status == 2 and "was never read here" in answer.err and not (tmp_path / "r.toml").exists()


def test_no_corpus(coldframe, tmp_path):
    answer = coldframe("corpus", "curate", tmp_path)
    assert answer.status == 1 and "holds no corpus" in answer.err
