"""A teacher's answers become a source of text, with where each comes from, and within what it may cost."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coldframe.corpus.cleaning import open_clean
from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import Source, open_source
from coldframe.corpus.store import DEDUP, FILTER
from coldframe.corpus.teacher.ledger import LEDGER
from coldframe.corpus.teacher.verbs import CorpusScenes, write_scenes
from coldframe.errors import SourceError
from coldframe.settings import load_settings
from coldframe.train.opening import sources_of
from tests.corpus.teacher.conftest import Scenes
from tests.corpus.teacher.provider import Body, Handler, answer_to, completion, providing
from tests.corpus.teacher.recipes import (
    PAIRS,
    answers,
    contents,
    documents,
    ledger,
    lines,
    provenance,
    recipe,
    spent,
    write_talk,
)

FIELDS = {
    "scenes", "rewrites", "documents", "kept", "dropped", "requests", "cached", "tokens_in", "tokens_out", "cost",
    "budget_left", "stopped_by_budget", "output", "examples",
}  # fmt: skip


def test_scenes_and_rewrites_are_a_source(scenes: Scenes, coldframe: Scenes, tmp_path: Path) -> None:
    talk, out = write_talk(tmp_path / "talk.jsonl"), tmp_path / "out" / "scenes"
    with providing() as provider:
        answer = scenes(recipe(provider.url, talk=talk, price_input=1.0, price_output=4.0))
    assert answer.status == 0, answer.err
    found = answer.json
    assert set(found) == FIELDS
    assert (found["scenes"], found["rewrites"], found["documents"], found["kept"]) == (4, 3, 7, 7)
    assert (found["requests"], found["cached"], found["tokens_in"], found["tokens_out"]) == (7, 0, 700, 350)
    assert found["cost"] == pytest.approx(7 * (100 * 1 + 50 * 4) / 1e6)
    assert found["budget_left"] == {"tokens": 1_000_000 - 1050, "money": None}
    assert not found["stopped_by_budget"]

    opened = open_source(Source(name="teacher", kind="dialogue", path=str(out)))
    read = list(opened.documents(Quarantine()))
    assert [[message.role for message in one.messages] for one in read[:4]] == [["user", "assistant"] * 3] * 4
    assert [one.messages[1].content for one in read[4:]] == [answer for _, answer in PAIRS], "word for word"
    assert [one.place for one in read[:2]] == ["kitchen 1: baking bread", "kitchen 2: a burnt soup"]
    told = coldframe("corpus", "report", out, "--json", "--quiet").json["sources"][0]
    assert (told["kind"], told["documents_in"], told["documents_kept"]) == ("dialogue", 7, 7)


def test_a_recipe_of_a_run_asks_its_teacher_by_itself(tmp_path: Path) -> None:
    path, talk = tmp_path / "run.toml", write_talk(tmp_path / "talk.jsonl")
    with providing() as provider:
        wanted = '[[corpus.source]]\nname = "baker"\nkind = "dialogue"\nscenes = "run.toml"\n'
        path.write_text("[plan]\ndepth = 2\n" + wanted + recipe(provider.url, talk=talk))
        [source] = sources_of(load_settings(path).sources)
        first = open_clean([source], tmp_path / "runs" / "corpus", context=512)
        asked = len(provider.bodies)
    assert len(list(first.opened[0].documents(Quarantine()))) > 0 and first.report()[0].documents_in == 7
    again = open_clean([source], tmp_path / "runs" / "corpus", context=512)  # nobody answers any more
    assert again.opened[0].fingerprint == first.opened[0].fingerprint and asked == 7
    with pytest.raises(SourceError, match="are written when a run prepares its text"):
        open_source(source)


def test_within_a_running_loop(tmp_path: Path) -> None:
    """As from a notebook."""
    path = tmp_path / "teacher.toml"

    async def ask() -> int:
        return write_scenes(CorpusScenes(recipe=path, out=tmp_path / "scenes"))["kept"]

    with providing() as provider, ThreadPoolExecutor(1) as thread:
        path.write_text(recipe(provider.url))
        assert thread.submit(lambda: asyncio.run(ask())).result() == 4


def test_provenance_is_complete(scenes: Scenes, tmp_path: Path) -> None:
    talk, out = write_talk(tmp_path / "talk.jsonl"), tmp_path / "out" / "scenes"
    with providing() as provider:
        assert scenes(recipe(provider.url, talk=talk)).status == 0
        host = provider.url.removeprefix("http://").removesuffix("/v1")
    said = provenance(out)
    assert (
        [one["id"] for one in said]
        == [one["id"] for one in documents(out)]
        == [one["id"] for one in lines(out / FILTER)]
    )
    for one in said:
        facts = one["features"]
        assert (facts["model"], facts["host"], facts["attempts"], facts["finish"]) == ("small", host, 1, "stop")
        assert (facts["tokens_in"], facts["tokens_out"], facts["cost"], facts["estimated"]) == (100, 50, 0.0, False)
    kept = {one["key"]: one["text"] for one in answers(out)}
    assert {one["features"]["prompt"] for one in said} == set(kept), "the answer itself can be looked up"
    assert len({one["features"]["seed"] for one in said}) == 7
    assert [one["features"]["original"] for one in said[4:]] == [{"question": q, "answer": a} for q, a in PAIRS]
    assert [one["features"]["topic"] for one in said[:2]] == ["baking bread", "a burnt soup"]


def test_raising_the_count_asks_only_what_is_new(scenes: Scenes, coldframe: Scenes, tmp_path: Path) -> None:
    out = tmp_path / "out" / "scenes"
    with providing() as provider:
        assert scenes(recipe(provider.url, count=3)).json["requests"] == 3
        before = documents(out)
        times = {path: (out / path).stat().st_mtime_ns for path in contents(out)}
        again = scenes(recipe(provider.url, count=3)).json
        assert (again["requests"], again["cached"], again["tokens_out"]) == (0, 3, 0)
        assert {path: (out / path).stat().st_mtime_ns for path in contents(out)} == times, "nothing is written anew"
        assert coldframe("corpus", "dedup", out, "--quiet").status == 0
        more = scenes(recipe(provider.url, count=5)).json
        assert (more["requests"], more["cached"], more["documents"]) == (2, 3, 5)
        assert documents(out)[:3] == before
        assert not (out / DEDUP).exists(), "it spoke of fewer documents"
        fewer = scenes(recipe(provider.url, count=2)).json
        assert (fewer["requests"], fewer["documents"]) == (0, 2)
    with providing() as provider:  # what was asked does not depend on where the endpoint stands
        moved = scenes(recipe(provider.url, count=5)).json
        assert (moved["requests"], moved["documents"]) == (0, 5)


def test_a_folder_that_was_left_half_written_is_made_whole(scenes: Scenes, tmp_path: Path) -> None:
    """As by a kill between two of its files; and who deletes the ledger has spent nothing."""
    out = tmp_path / "out" / "scenes"
    with providing() as provider:
        assert scenes(recipe(provider.url)).status == 0
        whole = contents(out)
        for path in whole:
            (out / path).write_bytes(whole[path][:-20])
            assert scenes(recipe(provider.url)).json["requests"] == 0
            assert contents(out) == whole, path
        (out / LEDGER).unlink()
        assert scenes(recipe(provider.url)).json["budget_left"]["tokens"] == 1_000_000


def test_same_question_is_asked_once(scenes: Scenes, tmp_path: Path) -> None:
    talk = write_talk(tmp_path / "talk.jsonl", (PAIRS[0], (PAIRS[0][0], "Another answer."), PAIRS[0]))
    with providing() as provider:
        found = scenes(recipe(provider.url, count=0, talk=talk)).json
    assert (found["requests"], found["documents"], len(provider.bodies)) == (1, 3, 1)


def test_bad_answers_are_kept_with_their_reason(scenes: Scenes, tmp_path: Path) -> None:
    """Of scenes, by number: nothing is lost, and what the filters find comes after what the teacher did wrong."""
    bad = {
        1: completion("A: As an AI language model, I can say nothing.\nB: Nothing at all."),
        2: completion("I cannot write that."),
        3: completion("A: Hello there.\nB: The kettle is on the", finish="length"),
        4: completion("Bread is made of flour."),
        5: completion(""),
        6: completion("A: The kettle is on now.\nB: I see that.\nA: The kettle is on now.\nB: I see."),
        7: completion("A: Wo ist denn der alte Ofen geblieben, mein lieber Freund?\nB: Der Ofen steht noch immer in "
                      "der Küche, wo er seit vielen Jahren gestanden hat, und er wird dort auch bleiben."),
        8: completion("A: My key is AKIAIOSFODNN7EXAMPLE, keep it.\nB: I keep it in the drawer beside the window."),
    }  # fmt: skip

    def act(handler: Handler, body: Body, number: int) -> None:
        handler.give(bad.get(number) or completion(answer_to(body)))

    out = tmp_path / "out" / "scenes"
    with providing(act) as provider:
        found = scenes(recipe(provider.url, count=10, concurrency=1)).json
    assert (found["documents"], found["kept"]) == (10, 2)
    assert found["dropped"] == {
        "refusal": 2, "cut-off": 1, "no-turns": 1, "empty": 1, "repeats-itself": 1, "wrong-language": 1, "secret": 1
    }  # fmt: skip
    said = provenance(out)
    assert [one["keep"] for one in said] == [False] * 6 + [True] * 4
    assert documents(out)[3]["text"] == "Bread is made of flour."
    assert sum(not one["keep"] for one in lines(out / FILTER)) >= 3


def test_budget_holds_with_many_at_once(scenes: Scenes, tmp_path: Path) -> None:
    """The provider bills what a request may cost at most in its answers, and less in the prompt, as real ones do."""

    def act(handler: Handler, body: Body, number: int) -> None:
        handler.give(completion(answer_to(body), usage=(230, 200)))

    out = tmp_path / "out" / "scenes"
    with providing(act) as provider:
        provider.seconds = 0.01
        settings = {"count": 60, "concurrency": 8}
        first = scenes(recipe(provider.url, budget_tokens=12_000, **settings))
        assert (first.status, first.json["stopped_by_budget"]) == (0, True)
        told = [line for line in first.err.splitlines() if "budget" in line]
        assert len(told) == 1 and "raise teacher.budget_tokens" in told[0]
        assert provider.most_under_way > 4
        billed = 430 * provider.answered
        assert 12_000 - 1_000 < billed == spent(out) <= 12_000, "used, and not exceeded"
        assert first.json["documents"] == provider.answered == len(documents(out))
        assert scenes(recipe(provider.url, budget_tokens=12_000, **settings)).json["requests"] == 0
        more = scenes(recipe(provider.url, budget_tokens=100_000, **settings)).json
        assert (more["stopped_by_budget"], more["documents"]) == (False, 60)
        assert len(provider.bodies) == 60
        money = {"price_input": 1.0, "price_output": 2.0, "budget_money": 0.015}
        paid = scenes(recipe(provider.url, budget_tokens=10**6, **settings | {"count": 90}, **money)).json
        assert (paid["stopped_by_budget"], 60 < paid["documents"] < 90) == (True, True)
        cost = sum(line["cost"] for line in ledger(out) if line["event"] == "ended")
        assert 0.013 < cost <= 0.015


def test_unknown_usage_is_a_bound(scenes: Scenes, tmp_path: Path) -> None:
    def act(handler: Handler, body: Body, number: int) -> None:
        handler.give(completion(answer_to(body), usage=None))

    out = tmp_path / "out" / "scenes"
    with providing(act) as provider:
        found = scenes(recipe(provider.url, count=2)).json
    for one, body in zip(provenance(out), provider.bodies, strict=True):
        assert one["features"]["estimated"]
        assert one["features"]["tokens_in"] > sum(len(message["content"]) for message in body["messages"])
    assert found["tokens_out"] == 400, "at most max_tokens each"


def test_without_httpx(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    error = scenes(recipe("http://127.0.0.1:9/v1")).error
    assert (error["kind"], error["advice"]) == ("Dependency", "type: pip install httpx")


def test_other_peoples_folders_are_left_alone(scenes: Scenes, coldframe: Scenes, tmp_path: Path) -> None:
    talk = write_talk(tmp_path / "talk.jsonl")
    out = tmp_path / "out" / "scenes"
    assert coldframe("corpus", "ingest", talk, "--kind", "dialogue", "--out", out, "--quiet").status == 0
    before = contents(out)
    error = scenes(recipe("http://127.0.0.1:9/v1")).error
    assert error["kind"] == "Corpus" and "no teacher wrote" in error["message"]
    assert contents(out) == before


def test_terminal_shows_old_and_new(coldframe: Scenes, tmp_path: Path) -> None:
    talk, path = write_talk(tmp_path / "talk.jsonl"), tmp_path / "teacher.toml"
    with providing() as provider:
        path.write_text(recipe(provider.url, talk=talk))
        shown = coldframe("corpus", "scenes", path, "--out", tmp_path / "out").out
    assert f"- {PAIRS[0][0]}  ->  So what about" in shown
    assert f"  - {PAIRS[0][1]}" in shown
