"""Published weights and the leases that ask for them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from coldframe.errors import CheckpointError
from coldframe.run.leases import lease_is_held, take_lease
from coldframe.run.paths import RunFolder
from coldframe.run.published import KEPT, load_newest, newest, publish
from coldframe.run.record import Recorder
from coldframe.run.view import RunView
from tests.limits import files_no_larger_than


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run."""
    made = RunFolder(tmp_path / "a")
    made.create()
    return made


@pytest.fixture
def recorder(folder: RunFolder) -> Iterator[Recorder]:
    """Its writer, in a segment."""
    made = Recorder(folder)
    made.begin_segment(start_step=0, reason="start", checkpoint=None, code_version="", environment={}, changed={})
    yield made
    made.close()


@pytest.fixture
def view(folder: RunFolder) -> Iterator[RunView]:
    """Its reader."""
    made = RunView(folder)
    yield made
    made.close()


def weights(value: float) -> dict[str, torch.Tensor]:
    """A model, nearly."""
    return {"head": torch.full((64, 64), value)}


def test_the_newest_is_read_with_its_step(folder: RunFolder, recorder: Recorder, view: RunView) -> None:
    """Readers get what was published last; only the last two files are kept."""
    assert load_newest(view) is None
    for step in (1, 2, 3):
        recorder.step = step
        publish(folder, recorder, weights(step), reason="lease")
    found = load_newest(view)
    assert found is not None
    assert found[0].step == 3
    assert torch.equal(found[1]["head"], weights(3)["head"])
    assert len(list(folder.live.glob("*.safetensors"))) == KEPT


def test_a_clock_that_was_set_back_costs_no_weights(folder: RunFolder, recorder: Recorder, view: RunView) -> None:
    """What was announced last is kept, not what has the newest time."""
    for step in (1, 2, 3):
        recorder.step = step
        path = publish(folder, recorder, weights(step), reason="lease")
        assert path is not None
        os.utime(path, (time.time() - 3600 * step, time.time() - 3600 * step))
    found = load_newest(view)
    assert found is not None and found[0].step == 3
    assert len(list(folder.live.glob("*.safetensors"))) == KEPT


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_published(
    folder: RunFolder, recorder: Recorder, view: RunView, value: float
) -> None:
    """Readers keep what they have, and an event says why."""
    publish(folder, recorder, weights(1), reason="lease")
    assert publish(folder, recorder, weights(value), reason="lease") is None
    found = load_newest(view)
    assert found is not None
    assert float(found[1]["head"][0, 0]) == 1.0
    event = view.last("events")
    assert event is not None
    assert (event["kind"], event["level"]) == ("publish", "error")


def test_no_room_for_weights_is_no_reason_to_stop(folder: RunFolder, recorder: Recorder, view: RunView) -> None:
    """As on a full disk: readers keep what they have, an event says why, and nothing half-written is left."""
    publish(folder, recorder, weights(1), reason="lease")
    room = max(path.stat().st_size for path in folder.path.glob("run.db*")) + 200_000
    with files_no_larger_than(room):
        assert publish(folder, recorder, {"head": torch.ones(1024, 1024)}, reason="lease") is None
    found = load_newest(view)
    assert found is not None
    assert float(found[1]["head"][0, 0]) == 1.0
    assert len(list(folder.live.iterdir())) == 1
    event = view.last("events")
    assert event is not None
    assert (event["kind"], event["level"]) == ("publish", "error")


def test_readers_never_see_half_a_file(folder: RunFolder, recorder: Recorder) -> None:
    """While one publishes as fast as it can, others load whole, uniform weights every time."""
    publish(folder, recorder, weights(0), reason="lease")
    ended, wrong = threading.Event(), []

    def read() -> None:
        view = RunView(folder)
        while not ended.is_set():
            try:
                found = load_newest(view)
            except CheckpointError:
                continue  # replaced five times while it tried; it says so and one asks again
            if found is None or len(found[1]["head"].unique()) != 1:
                wrong.append(found)
        view.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for value in range(60):
        recorder.step = value
        publish(folder, recorder, weights(value), reason="lease")
        time.sleep(0.002)
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_a_file_that_was_cut_short_is_passed_over(folder: RunFolder, recorder: Recorder, view: RunView) -> None:
    """As a power cut leaves it: the one before it is read, and what a killed trainer left half-written is cleared."""
    publish(folder, recorder, weights(1), reason="lease")
    recorder.step += 1
    cut = publish(folder, recorder, weights(2), reason="lease")
    assert cut is not None
    cut.write_bytes(cut.read_bytes()[:100])
    found = load_newest(view)
    assert found is not None
    assert found[0].step == recorder.step - 1
    (folder.live / ".step-00000009-x.safetensors.tmp").write_bytes(b"half")
    publish(folder, recorder, weights(3), reason="lease")
    assert not list(folder.live.glob(".step-*"))


def test_gone_files_are_not_offered(folder: RunFolder, recorder: Recorder, view: RunView) -> None:
    """A row whose file somebody deleted leads to the one before it, or to nothing."""
    first = publish(folder, recorder, weights(1), reason="lease")
    second = publish(folder, recorder, weights(2), reason="lease")
    assert first is not None
    assert second is not None
    second.unlink()
    found = newest(view)
    assert found is not None
    assert found.path == first
    first.unlink()
    assert newest(view) is None
    assert load_newest(view) is None


def test_a_lease_holds_until_it_expires(folder: RunFolder) -> None:
    """Nobody reads, somebody reads, nobody reads any more."""
    assert not lease_is_held(folder)
    take_lease(folder, "chat-1", "chat", seconds=0.2)
    take_lease(folder, "chat-1", "chat", seconds=0.3)
    assert lease_is_held(folder)
    time.sleep(0.35)
    assert not lease_is_held(folder)
