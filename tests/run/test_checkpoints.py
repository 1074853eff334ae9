"""Checkpoints: every act of writing, replacing and dropping one is a point at which the power may go."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from coldframe.errors import CheckpointError, ColdframeError, DiskFullError
from coldframe.run import checkpoints
from coldframe.run.checkpoints import Checkpoint, Disk
from coldframe.run.paths import RunFolder
from tests.run.crashing import FailingDisk, JournalDisk, put


class QuickDisk(Disk):
    """Does not wait for the disk: what a flush is good for is the journal's business here."""

    def flush(self, path: Path) -> None:
        """Nothing."""


def tensors(seed: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A model's tensors and its optimizer's."""
    generator = torch.Generator().manual_seed(seed)
    model = {"embedding": torch.randn(4, 3, generator=generator), "layers.0.up": torch.randn(2, 3, generator=generator)}
    return model, {"embedding.first": torch.randn(4, 3, generator=generator)}


def write(folder: RunFolder, step: int, seed: int, disk: Disk | None = None) -> Checkpoint:
    """A checkpoint of a step; the seed tells which weights."""
    model, optimizer = tensors(seed)
    return checkpoints.write_checkpoint(
        folder,
        step,
        model=model,
        optimizer=optimizer,
        state={"step": step, "seed": seed},
        reason="test",
        disk=disk or QuickDisk(),
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run."""
    made = RunFolder(tmp_path / "runs" / "a")
    made.create()
    return made


def seed_of(checkpoint: Checkpoint) -> int:
    """Which weights a checkpoint holds; fails unless every byte of it is as it was written."""
    checkpoints.verify(checkpoint)
    seed = checkpoints.read_state(checkpoint)["seed"]
    model, optimizer = tensors(seed)
    found = checkpoints.read_weights(checkpoint)
    assert checkpoints.weights_sha256(found) == checkpoint.weights_sha256 == checkpoints.weights_sha256(model)
    if checkpoint.has_optimizer:
        assert torch.equal(checkpoints.read_optimizer(checkpoint)["embedding.first"], optimizer["embedding.first"])
    return int(seed)


def crash_everywhere(
    folder: RunFolder,
    tmp_path: Path,
    act: Callable[[Disk], object],
    judge: Callable[[dict[int, int], Checkpoint | None], None],
) -> int:
    """Let the power go at every point of an act; `judge` sees {step: seed} of what is listed, and what is chosen.

    From each state, what was left behind can be cleared away and the act done again.
    """
    disk = JournalDisk(folder.checkpoints)
    act(disk)
    for number, state in enumerate(disk.states):
        after = RunFolder(tmp_path / "crashed" / f"{number}")
        after.create()
        put(state, after.checkpoints)
        listed = {checkpoint.step: seed_of(checkpoint) for checkpoint in checkpoints.list_checkpoints(after)}
        chosen = checkpoints.newest_sound(after, lambda text: None)
        judge(listed, chosen)
        checkpoints.clear_leftovers(after)
        assert {checkpoint.step: seed_of(checkpoint) for checkpoint in checkpoints.list_checkpoints(after)} == listed
        assert len(list(after.checkpoints.iterdir())) == len(listed)  # and nothing is left that is not one
        if number % 7 == 0:
            assert seed_of(write(after, 2, 9)) == 9
            again = checkpoints.newest_sound(after, lambda text: None)
            assert again is not None
            assert seed_of(again) == 9
            assert not list(after.checkpoints.glob(".step*"))
            assert not list(after.checkpoints.glob("*.replaced"))
        shutil.rmtree(after.path)
    assert disk.acts > 2
    return len(disk.states)


def test_first_checkpoint_is_whole_or_not_there(folder: RunFolder, tmp_path: Path) -> None:
    """A crash amid the first checkpoint leaves none, or the whole one."""
    seen = set()

    def judge(listed: dict[int, int], chosen: Checkpoint | None) -> None:
        seen.add(tuple(listed.items()))
        assert listed in ({}, {2: 1})
        assert (chosen.step if chosen else None) == max(listed, default=None)

    assert crash_everywhere(folder, tmp_path, lambda disk: write(folder, 2, 1, disk), judge) > 40
    assert seen == {(), ((2, 1),)}


def test_a_later_checkpoint_never_costs_the_earlier_one(folder: RunFolder, tmp_path: Path) -> None:
    """A crash amid the second checkpoint leaves the first, or both."""
    write(folder, 1, 1)

    def judge(listed: dict[int, int], chosen: Checkpoint | None) -> None:
        assert listed in ({1: 1}, {1: 1, 2: 2})
        assert chosen is not None
        assert chosen.step == max(listed)

    crash_everywhere(folder, tmp_path, lambda disk: write(folder, 2, 2, disk), judge)


def test_replacing_a_step_leaves_the_old_or_the_new(folder: RunFolder, tmp_path: Path) -> None:
    """A crash amid writing the same step again leaves one of the two, whole, and it is the one that is chosen."""
    write(folder, 1, 1)
    write(folder, 2, 2)
    seen = set()

    def judge(listed: dict[int, int], chosen: Checkpoint | None) -> None:
        assert listed.keys() == {1, 2}
        assert chosen is not None
        assert chosen.step == 2
        assert seed_of(chosen) == listed[2]
        seen.add(listed[2])

    crash_everywhere(folder, tmp_path, lambda disk: write(folder, 2, 3, disk), judge)
    assert seen == {2, 3}


def test_what_was_written_is_chosen_from_then_on(folder: RunFolder) -> None:
    """Once writing returned, no crash makes the checkpoint unseen."""
    write(folder, 1, 1)
    disk = JournalDisk(folder.checkpoints)
    write(folder, 2, 2, disk)
    before = len(disk.states)
    disk._note()
    assert len(disk.states) == before  # nothing that is unsafe is left
    assert [checkpoint.step for checkpoint in checkpoints.list_checkpoints(folder)] == [2, 1]


def test_dropping_the_optimizer_keeps_the_weights(folder: RunFolder, tmp_path: Path) -> None:
    """A crash amid it leaves a checkpoint with or without moments; its weights are always there."""
    old = write(folder, 1, 1)
    write(folder, 2, 2)

    def judge(listed: dict[int, int], chosen: Checkpoint | None) -> None:
        assert listed == {1: 1, 2: 2}
        assert chosen is not None
        assert chosen.step == 2

    crash_everywhere(folder, tmp_path, lambda disk: checkpoints.drop_optimizer(old, disk), judge)
    assert not checkpoints.find_checkpoint(folder, 1).has_optimizer
    assert not (old.path / checkpoints.OPTIMIZER).exists()


def test_deleting_leaves_all_or_nothing_of_it(folder: RunFolder, tmp_path: Path) -> None:
    """A crash amid deleting leaves a whole checkpoint or nothing that looks like one."""
    old = write(folder, 1, 1)
    write(folder, 2, 2)

    def judge(listed: dict[int, int], chosen: Checkpoint | None) -> None:
        assert listed in ({1: 1, 2: 2}, {2: 2})
        assert chosen is not None
        assert chosen.step == 2

    crash_everywhere(folder, tmp_path, lambda disk: checkpoints.delete(old, disk), judge)
    assert not old.path.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("step", [2, 1], ids=["later", "replacing"])
def test_an_act_that_fails_costs_nothing(folder: RunFolder, step: int, number: int) -> None:
    """At whichever act the disk refuses: a clear error, the earlier checkpoint whole, and the next try works."""
    write(folder, 1, 1)
    for fail_at in range(1, 40):
        disk = FailingDisk(fail_at, number)
        try:
            write(folder, step, 2, disk)
        except OSError:
            assert number == errno.EIO
        except DiskFullError as error:
            assert number == errno.ENOSPC
            assert error.advice
        else:
            break
        chosen = checkpoints.newest_sound(folder, lambda text: pytest.fail(text))
        assert chosen is not None
        assert seed_of(chosen) in (1, 2)
        assert seed_of(checkpoints.find_checkpoint(folder, 1)) in (1, 2)
    assert disk.left > 0  # it went through without meeting the failure
    assert fail_at > 10
    checkpoints.clear_leftovers(folder)
    chosen = checkpoints.newest_sound(folder, lambda text: None)
    assert chosen is not None
    assert (chosen.step, seed_of(chosen)) == (step, 2)


def test_dropping_the_optimizer_on_a_full_disk(folder: RunFolder) -> None:
    """Retention that finds no room for its small new manifest says so, and leaves the checkpoint as it was."""
    old = write(folder, 1, 1)
    with pytest.raises(DiskFullError):
        checkpoints.drop_optimizer(old, FailingDisk(1, errno.ENOSPC))
    assert checkpoints.find_checkpoint(folder, 1).has_optimizer


def spoil(path: Path) -> None:
    """Turn one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.OPTIMIZER, checkpoints.STATE, checkpoints.MANIFEST])
def test_a_damaged_checkpoint_is_passed_over_and_named(folder: RunFolder, name: str) -> None:
    """One turned byte in any file: the one before it is chosen, and a line says which was passed over."""
    write(folder, 1, 1)
    newest = write(folder, 2, 2)
    path = newest.path / name
    if name == checkpoints.MANIFEST:
        path.write_bytes(path.read_bytes()[:40])
    else:
        spoil(path)
    said: list[str] = []
    chosen = checkpoints.newest_sound(folder, said.append)
    assert chosen is not None
    assert chosen.step == 1
    assert len(said) == 1
    assert "step-00000002" in said[0]


@pytest.mark.parametrize("how", ["a turned byte", "cut off", "without manifest", "without optimizer"])
def test_no_sound_checkpoint_is_an_error_not_a_fresh_start(folder: RunFolder, how: str) -> None:
    """A run whose checkpoints are all damaged must not begin again over them."""
    for step in (1, 2):
        checkpoint = write(folder, step, step)
        path = checkpoint.path / checkpoints.MODEL
        if how == "a turned byte":
            spoil(path)
        elif how == "cut off":
            path.write_bytes(path.read_bytes()[:50])
        elif how == "without manifest":
            (checkpoint.path / checkpoints.MANIFEST).unlink()
        else:
            checkpoints.drop_optimizer(checkpoint, QuickDisk())
    with pytest.raises(CheckpointError) as caught:
        checkpoints.newest_sound(folder, lambda text: None)
    assert caught.value.advice


def test_a_run_without_checkpoints_has_none(folder: RunFolder) -> None:
    """No folder, an empty one, or one with strangers in it: nothing to resume from, and nothing to complain of."""
    assert checkpoints.newest_sound(folder, lambda text: pytest.fail(text)) is None
    (folder.checkpoints / "notes.txt").write_text("mine")
    (folder.checkpoints / "step-1").mkdir()
    assert checkpoints.newest_sound(folder, lambda text: pytest.fail(text)) is None
    shutil.rmtree(folder.checkpoints)
    assert checkpoints.list_checkpoints(folder) == []


def test_an_unknown_step_names_those_there_are(folder: RunFolder) -> None:
    """Asking for a step that was not kept says which were."""
    write(folder, 5, 1)
    write(folder, 10, 2)
    with pytest.raises(ColdframeError, match="step 7") as caught:
        checkpoints.find_checkpoint(folder, 7)
    assert "5, 10" in caught.value.advice


def test_identity_of_weights() -> None:
    """The hash is of names, types, shapes and bytes as DESIGN.md states it; order and storage do not matter."""
    import hashlib
    import json

    values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    digest = hashlib.sha256()
    for name, tensor in (("a", values), ("b", values.to(torch.bfloat16))):
        digest.update(json.dumps([name, str(tensor.dtype).removeprefix("torch."), [2, 3]]).encode() + b"\n")
        digest.update(
            tensor.view(torch.int16 if tensor.dtype == torch.bfloat16 else torch.float32)
            .numpy()
            .astype("<i2" if tensor.dtype == torch.bfloat16 else "<f4")
            .tobytes()
        )
    given = {"b": values.to(torch.bfloat16), "a": torch.from_numpy(np.asfortranarray(values.numpy()))}
    assert checkpoints.weights_sha256(given) == digest.hexdigest()
    assert checkpoints.weights_sha256({**given, "a": values + 1}) != digest.hexdigest()
    assert checkpoints.weights_sha256({"scalar": torch.tensor(1.0)})  # 0-d tensors too
