"""What can be wrong with a run that is to go on, or is asked while nobody trains it: a clear line each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from coldframe.run import checkpoints
from coldframe.run.lock import TrainerLock
from coldframe.run.paths import RunFolder
from coldframe.tokens.tokenizer import Tokenizer
from coldframe.train.runfile import read_run_file
from tests.commands import Answer
from tests.limits import files_no_larger_than
from tests.train.garden import END, RECIPE, STEP, Garden


def assert_finishes(garden: Garden, folder: RunFolder, *flags: object) -> Answer:
    """It goes on to the end, and to the bit as if nothing had been."""
    answer = garden.train(folder, *flags)
    assert answer.status == 0, answer.err
    assert (answer.json["step"], answer.json["status"]) == (END, "done")
    assert answer.json["weights_sha256"] == garden.weights_sha256
    return answer


def spoil(path: Path) -> None:
    """Turn one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_resume_by_name_alone(garden: Garden) -> None:
    """The name is enough; the answer has its fields; and a finished run that is started again stays as it is."""
    folder = garden.copy()
    answer = assert_finishes(garden, folder)
    assert set(answer.json) >= {
        "run", "step", "train_loss", "val_bpb", "num_tokens", "tokens_per_second", "peak_memory_bytes",
        "weights_sha256", "status",
    }  # fmt: skip
    assert len(answer.out.splitlines()) == 1
    again = assert_finishes(garden, folder)
    assert again.json["num_tokens"] == answer.json["num_tokens"]
    assert again.json["train_loss"] == answer.json["train_loss"]


def test_two_trainers_on_one_run(garden: Garden) -> None:
    """The second is refused with the first one's process, and changes nothing."""
    folder = garden.copy()
    before = sorted(str(path) for path in folder.path.rglob("*"))
    with TrainerLock(folder.lock):
        answer = garden.train(folder)
    assert answer.status == 1
    assert answer.error["kind"] == "Lock"
    assert f"process {os.getpid()}" in answer.error["message"]
    assert sorted(str(path) for path in folder.path.rglob("*")) == before
    assert_finishes(garden, folder)


def test_a_damaged_newest_checkpoint(garden: Garden) -> None:
    """The one before it is taken, a line and an event say so, and the end is the same to the bit."""
    folder = garden.copy()
    spoil(folder.checkpoints / f"step-{STEP:08d}" / checkpoints.OPTIMIZER)
    answer = assert_finishes(garden, folder)
    assert f"step-{STEP:08d}" in answer.err
    assert "falling back" in answer.err
    assert any(row["kind"] == "checkpoint" and row["level"] == "warning" for row in garden.rows(folder, "events"))
    assert garden.rows(folder, "segments")[-1]["start_step"] == STEP - 2


@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.MANIFEST])
def test_sound_checkpoints_are_never_deleted_for_a_damaged_one(garden: Garden, name: str) -> None:
    """After the fall back the damaged one stands aside under another name and counts as nothing."""
    folder = garden.copy()
    if name == checkpoints.MANIFEST:
        (folder.checkpoints / f"step-{STEP:08d}" / checkpoints.MODEL).write_bytes(b"cut off")
    else:
        spoil(folder.checkpoints / f"step-{STEP:08d}" / name)
    answer = garden.train(folder, "--stop-at", STEP - 1, "--set", "train.keep_last=1", "--set", "train.keep_best=false")
    assert answer.status == 0, answer.err
    newest = checkpoints.newest_sound(folder, lambda text: pytest.fail(text))
    assert newest is not None
    assert newest.step == STEP - 1
    assert (folder.checkpoints / f"step-{STEP:08d}.damaged").is_dir()
    kept = {row["folder"]: row["contains"] for row in garden.rows(folder, "checkpoints")}
    assert kept[f"step-{STEP:08d}"] == "nothing"
    assert_finishes(garden, folder)


def test_the_best_weights_are_kept_wherever_they_were_measured(garden: Garden) -> None:
    """Measuring between two checkpoints: a new best gets a checkpoint, and stands at the end whatever came after."""
    folder = garden.copy()
    answer = garden.train(
        folder, "--set", "train.evaluate_every=1", "--set", "train.checkpoint_every=5", "--set", "train.keep_last=1"
    )
    assert answer.status == 0, answer.err
    rows = garden.rows(folder, "evals")
    measured = [row for row in rows if row["metric"] == "bits_per_byte" and row["source"] == "all"]
    best = min(measured, key=lambda row: row["value"])
    assert len(measured) > STEP // 2
    kept = {checkpoint.step for checkpoint in checkpoints.list_checkpoints(folder)}
    assert best["step"] in kept
    assert any(row["reason"] == "best" for row in garden.rows(folder, "checkpoints"))


@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.MANIFEST])
def test_every_checkpoint_damaged(garden: Garden, name: str) -> None:
    """One clear line; nothing is overwritten by beginning again."""
    folder = garden.copy()
    for path in folder.checkpoints.iterdir():
        (path / name).write_bytes((path / name).read_bytes()[:30])
    answer = garden.train(folder)
    assert answer.status == 1
    assert answer.error["kind"] == "Checkpoint"
    assert answer.error["advice"]
    assert len(list(folder.checkpoints.iterdir())) == 2


def test_tokenizers_that_are_not_the_runs(garden: Garden) -> None:
    """Missing, damaged, or of another vocabulary."""
    folder = garden.copy()
    whole = folder.tokenizer.read_bytes()
    folder.tokenizer.unlink()
    answer = garden.train(folder)
    assert (answer.status, answer.error["kind"]) == (1, "Tokenizer")
    assert "copy it back" in answer.error["advice"]
    folder.tokenizer.write_bytes(whole[: len(whole) // 2])
    answer = garden.train(folder)
    assert (answer.status, answer.error["kind"]) == (1, "Tokenizer")
    other = Tokenizer.train(["the soil and the frame " * 50], 275)
    other.save(folder.tokenizer)
    answer = garden.train(folder)
    assert (answer.status, answer.error["kind"]) == (1, "Tokenizer")
    assert f"vocabulary {other.vocab_size}, the model's 300" in answer.error["message"]
    folder.tokenizer.write_bytes(whole)
    assert_finishes(garden, folder)


def test_a_vocabulary_that_does_not_match(garden: Garden, tmp_path: Path) -> None:
    """A new run with a tokenizer of one size and a plan of another is refused before anything is made."""
    other = Tokenizer.train(["the soil and the frame " * 50], 275)
    other.save(tmp_path / "tokenizer.json")
    folder = garden.bench.run("mismatched")
    answer = garden.train(
        folder,
        "--recipe",
        garden.bench.folder / "garden.toml",
        "--set",
        f"tokenizer.path={tmp_path / 'tokenizer.json'}",
    )
    assert (answer.status, answer.error["kind"]) == (2, "Settings")
    assert f"{other.vocab_size} tokens, plan.vocab_size is 300" in answer.error["message"]
    assert not folder.exists


def test_a_missing_tokenizer(garden: Garden) -> None:
    """A path that leads nowhere."""
    folder = garden.bench.run("no-tokenizer")
    answer = garden.train(
        folder, "--recipe", garden.bench.folder / "garden.toml", "--set", "tokenizer.path=/none/tokenizer.json"
    )
    assert (answer.status, answer.error["kind"]) == (1, "Tokenizer")
    assert not folder.exists


@pytest.mark.parametrize("text", [None, "", "\n\n"], ids=["missing", "empty", "blank"])
def test_sources_without_text(garden: Garden, tmp_path: Path, text: str | None) -> None:
    """A source that is missing or empty is named, and no run is made."""
    if text is not None:
        (tmp_path / "text").mkdir()
        (tmp_path / "text" / "a.txt").write_text(text)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    folder = garden.bench.run("no-text")
    answer = garden.train(folder, "--recipe", recipe)
    assert (answer.status, answer.error["kind"]) == (1, "Source")
    assert not folder.exists


def test_shards_that_are_gone_or_damaged(garden: Garden) -> None:
    """Missing shards and a turned byte in one are told apart from everything else."""
    folder = garden.copy()
    shards = folder.runs / "shards"
    hidden = folder.runs.parent / "hidden"
    shards.rename(hidden)
    try:
        answer = garden.train(folder)
        assert (answer.status, answer.error["kind"]) == (1, "Shard")
        assert "'own'" in answer.error["message"]
    finally:
        hidden.rename(shards)
    run_file = read_run_file(folder)
    path = shards / run_file.tokenizer_sha256[:12] / "own" / run_file.manifests["own"][:12] / "tokens-00000.bin"
    whole = path.read_bytes()
    spoil(path)
    try:
        answer = garden.train(folder)
        assert (answer.status, answer.error["kind"]) == (1, "Shard")
    finally:
        path.write_bytes(whole)
    assert_finishes(garden, folder)


def test_a_broken_run_file(garden: Garden) -> None:
    """run.toml cut off: usage, with the file's name."""
    folder = garden.copy()
    folder.plan_file.write_text(folder.plan_file.read_text()[:200])
    answer = garden.train(folder)
    assert answer.status == 2
    assert "run.toml" in answer.error["message"]


def test_changed_settings_are_listed_and_refused_or_taken(garden: Garden) -> None:
    """What breaks the model never; what breaks exactness only when accepted; what is around training freely."""
    folder = garden.copy()
    answer = garden.train(folder, "--set", "plan.context=64", "--set", "plan.learning_rate=0.5")
    assert (answer.status, answer.error["kind"]) == (1, "Resume")
    assert "plan.context" in answer.error["message"]
    assert "32 -> 64" in answer.error["message"]
    answer = garden.train(folder, "--steps", END + 5)
    assert answer.status == 1
    assert "coldframe extend" in answer.error["advice"]
    answer = garden.train(folder, "--set", "plan.learning_rate=0.5")
    assert answer.status == 1
    assert "plan.learning_rate" in answer.error["message"]
    assert "accept_changes" in answer.error["advice"]
    assert_finishes(garden, garden.copy(), "--set", "train.checkpoint_every=4", "--set", "train.keep_last=3")
    answer = garden.train(folder, "--set", "plan.learning_rate=0.5", "--set", "train.accept_changes=true")
    assert answer.status == 0, answer.err
    assert answer.json["weights_sha256"] != garden.weights_sha256
    assert "learning_rate" in answer.err
    assert "plan.learning_rate" in garden.rows(folder, "segments")[-1]["changed"]
    assert any(row["kind"] == "settings" for row in garden.rows(folder, "events"))


@pytest.mark.parametrize("setting", [
    "threads=0", "dtype=bfloat16", "clip_norm=-1", "warm_up=5", "total_batch_tokens=100", "device_batch=3",
    "learning_rate=0", "replicas=9",
    pytest.param("device=cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")),
])  # fmt: skip
def test_nonsense_is_refused_at_a_resume_too(garden: Garden, setting: str) -> None:
    """Also when changes are accepted; run.toml stays as it was, and so does what is learned."""
    folder = garden.copy()
    before = folder.plan_file.read_bytes()
    answer = garden.train(folder, "--set", f"plan.{setting}", "--set", "train.accept_changes=true")
    assert (answer.status, answer.error["kind"]) == (2, "Settings")
    assert answer.error["advice"]
    assert folder.plan_file.read_bytes() == before
    assert len(garden.rows(folder, "segments")) == 1


def test_a_changed_micro_batch_is_used(garden: Garden) -> None:
    """It stands in the state of the next checkpoint, not only in run.toml."""
    folder = garden.copy()
    answer = garden.train(folder, "--set", "plan.device_batch=1", "--set", "train.accept_changes=true")
    assert answer.status == 0, answer.err
    newest = checkpoints.newest_sound(folder, lambda text: pytest.fail(text))
    assert newest is not None
    assert checkpoints.read_state(newest)["device_batch"] == 1


def test_less_memory_than_the_run_needs_is_refused_at_a_resume(garden: Garden) -> None:
    """With the need as it is now: a smaller micro-batch lowers it; more memory than that goes on."""
    folder = garden.copy()
    answer = garden.train(folder, "--memory", "100MB")
    assert (answer.status, answer.error["kind"]) == (1, "MemoryFit")
    assert "device_batch=1" in answer.error["advice"]
    smaller = ("--set", "plan.device_batch=1", "--set", "train.accept_changes=true")
    assert "device_batch=1" not in garden.train(folder, "--memory", "100MB", *smaller).error["advice"]
    assert garden.train(folder, "--memory", "3GB").json["status"] == "done"


def test_the_first_command_again(garden: Garden) -> None:
    """What a run was started with may be said again, however the plan rounded it; other sources may not."""
    name = f"again-{os.getpid()}-{len(list(garden.bench.runs.iterdir()))}"
    recipe = garden.bench.folder / "again.toml"
    recipe.write_text(RECIPE.replace("[plan]", "[plan]\nwidth = 50"))
    words = ["train", "--run", name, "--runs", garden.bench.runs, "--recipe", recipe, "--json"]
    assert garden.coldframe(*words, "--stop-at", 3).status == 0
    again = garden.coldframe(*words, "--stop-at", 5)
    assert (again.status, again.json["step"]) == (0, 5), again.err
    recipe.write_text(recipe.read_text().replace('name = "own"', 'name = "other"'))
    answer = garden.coldframe(*words)
    assert (answer.status, answer.error["kind"]) == (1, "Resume")
    assert "sources" in answer.error["message"]


def test_another_number_of_ranks(garden: Garden) -> None:
    """Refused with how to start it: its promise of exactness is for the number that it began with."""
    folder = garden.copy()
    text = folder.plan_file.read_text()
    folder.plan_file.write_text(text.replace("\nranks = 1\n", "\nranks = 2\n"))
    answer = garden.train(folder)
    assert (answer.status, answer.error["kind"]) == (1, "Resume")
    assert "--nproc-per-node 2" in answer.error["advice"]


@pytest.mark.parametrize("verb", ["pause", "stop", "checkpoint"])
def test_nobody_trains(garden: Garden, verb: str) -> None:
    """There is nothing to pause, stop or save: refused, with what would go on, and recorded."""
    folder = garden.copy()
    answer = garden.ask(verb, folder)
    assert answer.status == 1
    assert (answer.json["outcome"], answer.json["step"], answer.json["run"]) == ("refused", STEP, folder.name)
    assert f"coldframe train --run {folder.name}" in answer.json["detail"]
    [row] = garden.rows(folder, "outcomes")[-1:]
    assert (row["verb"], row["outcome"]) == (verb, "refused")
    assert list(folder.requests.iterdir()) == []
    assert_finishes(garden, folder)


@pytest.mark.parametrize("content", [
    b"garbage", b'{"id": "x", "verb": "fly"}', b'{"id": "x", "verb": "extend", "arguments": {"num_steps": -9}}',
    b'{"id": "x", "verb": "extend", "arguments": {"num_steps": "many"}}', b'["stop"]',
])  # fmt: skip
def test_nonsense_among_the_requests(garden: Garden, content: bytes) -> None:
    """Refused with a row, and training goes on as if it had not been there."""
    folder = garden.copy()
    (folder.requests / "x.json").write_bytes(content)
    assert_finishes(garden, folder)
    [row] = garden.rows(folder, "outcomes")
    assert row["outcome"] == "refused"
    assert list(folder.requests.iterdir()) == []


def test_no_room_for_a_checkpoint(garden: Garden) -> None:
    """A clear line, status 1, the earlier checkpoint whole; with room again, on to the same end."""
    folder = garden.copy()
    room = max(path.stat().st_size for path in folder.path.glob("run.db*")) + 200_000
    assert room < (folder.checkpoints / f"step-{STEP:08d}" / checkpoints.MODEL).stat().st_size
    with files_no_larger_than(room):
        answer = garden.train(folder)
    assert answer.status == 1
    assert answer.error["kind"] == "DiskFull"
    assert "free some space" in answer.error["advice"]
    chosen = checkpoints.newest_sound(folder, lambda text: pytest.fail(text))
    assert chosen is not None
    assert chosen.step == STEP
    assert [path.name for path in folder.checkpoints.glob(".*")] == []
    assert garden.rows(folder, "heartbeats")[-1]["status"] == "failed"
    assert any(row["kind"] == "failed" for row in garden.rows(folder, "events"))
    assert_finishes(garden, folder)


@pytest.mark.parametrize("spare", [0, 40_000, 700_000], ids=["nothing", "a little", "most of it"])
def test_a_disk_that_is_really_full(garden: Garden, tmp_path: Path, spare: int) -> None:
    """A small file system of its own, filled up but for so many bytes: the same, wherever the writing fails."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=False).returncode:
        pytest.skip("only root may make a small file system")
    try:
        source = garden.bench.run("garden")
        shutil.copytree(source.path, disk / "garden")
        shutil.copytree(source.runs / "shards", disk / "shards")
        folder = RunFolder(disk / "garden")
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(bytes(free - spare))
        answer = garden.train(folder)
        assert answer.status == 1
        assert answer.error["kind"] == "DiskFull"
        assert answer.error["advice"]
        (disk / "filler").unlink()
        chosen = checkpoints.newest_sound(folder, lambda text: pytest.fail(text))
        assert chosen is not None
        assert chosen.step >= STEP
        answer = garden.train(folder)
        assert answer.status == 0, answer.err
        assert answer.json["weights_sha256"] == garden.weights_sha256
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_an_outcome_is_one_json_object(garden: Garden) -> None:
    """The fields of the steering verbs."""
    answer = garden.ask("checkpoint", garden.copy())
    assert set(json.loads(answer.out)) == {"run", "step", "outcome", "detail"}
