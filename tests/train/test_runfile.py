"""run.toml: what a change at a resume brings with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from coldframe.hardware import Hardware
from coldframe.plan import make_plan
from coldframe.run.paths import RunFolder
from coldframe.run.view import RunView
from coldframe.settings import PlanSettings, Settings, settings_from
from coldframe.train.runfile import apply_changes, read_run_file, write_run_file

LAPTOP = Hardware(device="cpu", name="two cores", free_memory=4 << 30, num_cores=2)


@pytest.mark.parametrize(("setting", "value"), [("threads", 1), ("compile", "on")])
def test_replicas_go_with_what_they_hang_on(tmp_path: Path, setting: str, value: object) -> None:
    """One thread has one replica, and so has a compiled model, although the run began with two."""
    folder = RunFolder(tmp_path / "a")
    folder.create()
    reasoned = make_plan(PlanSettings(depth=1), LAPTOP)
    write_run_file(folder, reasoned, Settings(), manifests={}, tokenizer_sha256="")
    stored = read_run_file(folder)
    assert (stored.plan.threads, stored.plan.replicas, stored.plan.compile) == (2, 2, False)
    asked = settings_from({"plan": {setting: value}, "train": {"accept_changes": True}})
    after, changed = apply_changes(stored, asked, LAPTOP)
    assert after.plan.replicas == 1
    assert list(changed) == [f"plan.{setting}"]
    assert getattr(after.plan, setting) == (1 if setting == "threads" else True)


def test_a_run_says_what_kind_of_training_it_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a")
    folder.create()
    write_run_file(folder, make_plan(PlanSettings(depth=1), LAPTOP), Settings(), manifests={}, tokenizer_sha256="")
    assert tomllib.loads(folder.plan_file.read_text())["run"]["kind"] == "pretrain"
    view = RunView(folder)
    assert not view.answers()
    view.close()
    folder.plan_file.write_text(folder.plan_file.read_text().replace('kind = "pretrain"', 'kind = "sft"'))
    assert read_run_file(folder).kind == "sft"
