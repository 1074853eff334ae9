"""Weights of a run folder, whole or not, become a model or one clear line."""

from __future__ import annotations

import pytest
import torch

from coldframe.errors import CheckpointError, RunNotFoundError, TokenizerError
from coldframe.generate.engine import Engine
from coldframe.generate.load import load_model
from coldframe.generate.sampling import Sampling
from coldframe.run.checkpoints import (
    MODEL,
    OPTIMIZER,
    drop_optimizer,
    list_checkpoints,
    verify,
    weights_sha256,
    write_checkpoint,
)
from coldframe.run.paths import RunFolder
from coldframe.run.published import publish
from coldframe.run.record import Recorder
from coldframe.run.view import RunView
from coldframe.tokens.tokenizer import Tokenizer
from tests.generate import tiny


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """A run with plan and tokenizer, and no weights."""
    made = RunFolder(tmp_path / "runs" / "rose")
    tiny.write_run(made)
    return made


def checkpoint(folder: RunFolder, step: int, *, val_bpb: float | None = None) -> str:
    """A whole checkpoint of a model of its own; gives the weights' identity."""
    weights = tiny.model(seed=step).state_dict()
    written = write_checkpoint(folder, step, model=weights, optimizer={"m": torch.zeros(2)}, state={}, reason="test")
    recorder = Recorder(folder)
    recorder.step = step
    recorder.checkpoint(
        folder=written.path.name,
        num_bytes=1,
        seconds=0,
        stall_seconds=0,
        weights_sha256=written.weights_sha256,
        reason="test",
        val_bpb=val_bpb,
    )
    recorder.close()
    return written.weights_sha256


def live(folder: RunFolder, step: int, dtype: torch.dtype = torch.float32) -> str:
    weights = {name: tensor.to(dtype) for name, tensor in tiny.model(seed=step).state_dict().items()}
    recorder = Recorder(folder)
    recorder.step = step
    publish(folder, recorder, weights, reason="test")
    recorder.close()
    return weights_sha256(weights)


def test_each_way_of_naming_weights_finds_them(folder):
    identities = {step: checkpoint(folder, step, val_bpb=bpb) for step, bpb in ((10, 2.0), (20, 1.5), (30, 1.7))}
    for which, step in (("newest", 30), ("best", 20), (10, 10)):
        loaded = load_model(folder, which)
        assert (loaded.step, loaded.kind, loaded.weights_sha256) == (step, "checkpoint", identities[step])
    published = live(folder, 35)
    for which in ("newest", "live"):
        loaded = load_model(folder, which)
        assert (loaded.step, loaded.kind, loaded.weights_sha256) == (35, "live", published)
    checkpoint(folder, 40)
    assert load_model(folder, "newest").step == 40 and load_model(folder, "live").step == 35


def test_a_loaded_model_says_what_the_trained_one_says(folder):
    checkpoint(folder, 10)
    loaded, sampling = load_model(folder), Sampling(temperature=0, max_tokens=12)
    said = Engine(loaded.model, loaded.tokenizer).generate([tiny.prompt("The")], sampling)[0]
    assert (
        said.tokens == Engine(tiny.model(seed=10), tiny.tokenizer()).generate([tiny.prompt("The")], sampling)[0].tokens
    )


def test_weights_published_in_bfloat16_are_read_in_float32(folder):
    live(folder, 5, torch.bfloat16)
    loaded = load_model(folder, "live")
    assert loaded.model.head.dtype == loaded.model.embedding.dtype == torch.float32
    Engine(loaded.model, loaded.tokenizer).generate([tiny.prompt("The")], Sampling(max_tokens=2))


def test_the_best_is_among_those_that_are_still_there_with_their_newest_score(folder):
    for step, bpb in ((10, 1.1), (20, 1.5), (30, 1.7)):
        checkpoint(folder, step, val_bpb=bpb)
    drop_optimizer(list_checkpoints(folder)[-1])
    assert load_model(folder, "best").step == 10
    checkpoint(folder, 10, val_bpb=1.9)
    assert load_model(folder, "best").step == 20


def test_a_damaged_newest_checkpoint_is_passed_over_and_named(folder, caplog):
    checkpoint(folder, 10), checkpoint(folder, 20)
    path = folder.checkpoints / "step-00000020" / MODEL
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert load_model(folder, "newest").step == 10
    assert "step-00000020" in caplog.text and MODEL in caplog.text
    with pytest.raises(CheckpointError, match="step-00000020"):
        load_model(folder, 20)
    (folder.checkpoints / "step-00000010" / OPTIMIZER).unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(folder, "newest")


def test_to_speak_only_the_weights_need_to_be_sound(folder):
    checkpoint(folder, 10)
    path = folder.checkpoints / "step-00000010" / OPTIMIZER
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert load_model(folder, 10).step == 10
    with pytest.raises(CheckpointError, match=OPTIMIZER):
        verify(list_checkpoints(folder)[0])


def test_what_is_missing_is_named_with_what_to_do(folder, tmp_path):
    with pytest.raises(RunNotFoundError):
        load_model(RunFolder(tmp_path / "runs" / "nobody"))
    for which, said in (
        ("newest", "no checkpoint yet"),
        ("live", "published no weights"),
        ("best", "no checkpoint"),
        (7, "step 7"),
    ):
        with pytest.raises(CheckpointError, match=said) as caught:
            load_model(folder, which)
        assert caught.value.advice
    folder.tokenizer.unlink()
    with pytest.raises(TokenizerError, match="there is no tokenizer"):
        load_model(folder)


def test_another_vocabulary_or_shape_is_refused(folder):
    checkpoint(folder, 10)
    Tokenizer.train([tiny.TEXT], 270).save(folder.tokenizer)
    with pytest.raises(TokenizerError, match="vocabulary of 320 and a tokenizer of 270"):
        load_model(folder)
    tiny.tokenizer().save(folder.tokenizer)
    folder.plan_file.write_text(folder.plan_file.read_text().replace("width = 64", "width = 32"))
    with pytest.raises(CheckpointError, match=r"embedding.* and \d+ more"):
        load_model(folder)
    folder.plan_file.write_text(folder.plan_file.read_text().replace("width = 32", ""))
    with pytest.raises(CheckpointError, match="width"):
        load_model(folder)


@pytest.mark.parametrize(("kind", "answers"), [(None, False), ("pretrain", False), ("sft", True)])
def test_only_a_run_that_was_taught_to_answer_answers(tmp_path, kind, answers):
    folder = RunFolder(tmp_path / "taught")
    tiny.write_run(folder, kind=kind)
    view = RunView(folder)
    assert view.answers() == answers
    view.close()
