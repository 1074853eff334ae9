"""A mixture's first shares, and batches that hold nothing to learn from."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import re

import pytest

from coldframe.corpus.sources import Source
from coldframe.errors import SettingsError
from coldframe.hardware import Hardware
from coldframe.plan import make_plan
from coldframe.settings import PlanSettings
from coldframe.train.mixing import check_shares, first_stage, tell_times_read, times_read
from tests.commands import Commands
from tests.mixture.sources import made_up
from tests.train.running import Bench

LAPTOP = Hardware(device="cpu", name="two cores", free_memory=1 << 32, num_cores=2)
SOURCES = {name: Source(name=name, kind="prose", path=name, share=share) for name, share in (("a", 0.9), ("b", 0.1))}
REST = Source(name="c", kind="prose", path="c")


def test_shares_are_checked_before_anything_is_read() -> None:
    """More than 1, or less with nobody to take the rest."""
    check_shares(list(SOURCES.values()))
    check_shares([SOURCES["a"], REST])
    for wanted in ([*SOURCES.values(), SOURCES["a"]], [SOURCES["a"]]):
        with pytest.raises(SettingsError, match="the given shares come to"):
            check_shares(wanted)


def test_no_source_is_left_without_a_share() -> None:
    """Shares that come to 1 with a source that has none: it would never be read."""
    others = Source(name="d", kind="prose", path="d")
    for wanted, names in (([*SOURCES.values(), REST], "source c"), ([*SOURCES.values(), REST, others], "source c, d")):
        with pytest.raises(SettingsError, match=rf"come to 1 already, and nothing is left for the {names}\b") as caught:
            check_shares(wanted)
        assert "give it a share" in caught.value.advice


def test_shares_of_what_is_there() -> None:
    """The rest in proportion to tokens; where a source was skipped, those left take its part."""
    a, c = made_up("a", [300] * 4), made_up("c", [300] * 4)
    assert first_stage([a, c], {**SOURCES, "c": REST}).shares == pytest.approx({"a": 0.9, "c": 0.1})
    assert first_stage([a], SOURCES).shares == {"a": 1.0}


def test_how_often_the_text_is_read(caplog: pytest.LogCaptureFixture) -> None:
    """One line for a run, and a warning for each source that is read more than ten times."""
    a, c = made_up("a", [300] * 4), made_up("c", [100])
    plan = make_plan(PlanSettings(depth=1, num_steps=15, total_batch_tokens=512, context=64), LAPTOP, seed=0).plan
    with caplog.at_level(logging.INFO, "coldframe"):
        tell_times_read(first_stage([a], {"a": SOURCES["a"]}), [a], plan)
    assert caplog.messages == ["the text will be read 6.4 times"]
    caplog.clear()
    both = first_stage([a, c], {**SOURCES, "c": REST})
    assert times_read(both, [a, c], 7680) == pytest.approx({"a": 5.76, "c": 7.68})
    plan = dataclasses.replace(plan, num_steps=3000)
    with caplog.at_level(logging.INFO, "coldframe"):
        tell_times_read(both, [a, c], dataclasses.replace(plan, num_steps=20))
        tell_times_read(both, [a, c], plan)
    instead = "fewer steps, a smaller depth or share, or more text would do"
    assert caplog.messages == [
        "the text will be read 7.9 times (a 7.7, c 10)",
        f"source c: 100 tokens will be read about 10 times; {instead}",
        "the text will be read 1,182 times (a 1,152, c 1,536)",
        f"source a: 1,200 tokens will be read about 1,200 times; {instead}",
        f"source c: 100 tokens will be read about 1,500 times; {instead}",
    ]


def test_a_run_says_how_often_it_reads_the_text(bench: Bench, coldframe: Commands) -> None:
    """Before step 1, with the warning where it is much."""
    recipe = bench.recipe(num_steps=120)
    answer = coldframe("train", "--run", "often", "--runs", bench.runs, "--recipe", recipe, "--stop-at", 1)
    assert answer.status == 0, answer.err
    assert "the text will be read " in answer.err
    assert re.search(r"warning: source own: [\d,]+ tokens will be read about \d+ times; fewer steps", answer.err)


def test_batches_without_any_target(bench: Bench, coldframe: Commands) -> None:
    """Questions without answers teach nothing: the steps have no loss, and the weights stay numbers."""
    talk = [{"messages": [{"role": "user", "content": f"What is {n} and {n * n}, and why?"}]} for n in range(2000)]
    answered = {"role": "assistant", "content": "Because."}  # one, as without any the source is refused
    talk[0]["messages"].append(answered)
    (bench.folder / "questions.jsonl").write_text("\n".join(map(json.dumps, talk)))
    recipe = bench.folder / "questions.toml"
    text = bench.recipe(num_steps=6).read_text().replace('path = "text"', 'path = "questions.jsonl"')
    recipe.write_text(text.replace('kind = "prose"', 'kind = "chat"'))
    answer = coldframe("train", "--run", "questions", "--runs", bench.runs, "--recipe", recipe, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["step"] == 6
    series = bench.series("questions")
    without = [step for step in range(6) if math.isnan(series["train_loss"][step])]
    assert len(without) >= 5
    assert [series["grad_norm"][step] for step in without] == [0.0] * len(without)
    assert all(map(math.isfinite, series["update_norm_mlp"]))
