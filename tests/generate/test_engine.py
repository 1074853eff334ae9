"""The engine against the model itself: every token and logprob must be what a plain forward of the whole row gives."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from coldframe.errors import CheckpointError, ContextFullError, UsageError
from coldframe.generate.engine import Engine, Session
from coldframe.generate.load import lay_out
from coldframe.generate.sampling import Sampling
from coldframe.model.cache import KVCache
from tests.generate import tiny

PROMPTS = ["The frame", "L", "Nobody came before the frost. Light", "«Grün ist"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny.shared_model(), tiny.tokenizer())


def plain_logprobs(model, row: list[int]) -> np.ndarray:
    """Log-probability of every token after the first, by one forward of the row alone."""
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.tensor([row[:-1]])))[0]
        return torch.log_softmax(logits, -1).gather(1, torch.tensor(row[1:])[:, None])[:, 0].numpy()


def test_greedy_tokens_are_those_of_a_forward_without_cache(engine):
    prompt = tiny.prompt("The frame of")
    row, sampling = list(prompt), Sampling(temperature=0, max_tokens=20)
    ends = {engine.tokenizer.specials["<|end|>"], engine.tokenizer.bos}
    while len(row) < len(prompt) + 20 and row[-1] not in ends or len(row) == len(prompt):
        with torch.no_grad():
            row.append(int(engine.model.logits(engine.model.hidden(torch.tensor([row])))[0, -1].argmax()))
    (made,) = engine.generate([prompt], sampling)
    assert list(made.tokens) == row[len(prompt) :]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=1, seed=5),
        Sampling(temperature=1, top_p=0.9, repetition_penalty=1.2),
    ],
)
def test_rows_of_unequal_length_say_together_what_they_say_alone(engine, sampling):
    prompts = [tiny.prompt(text) for text in PROMPTS]
    together = engine.generate(prompts, sampling)
    for number, prompt in enumerate(prompts):
        (alone,) = engine.generate([prompt], sampling, first_row=number)
        assert together[number].tokens == alone.tokens
        assert together[number].text == alone.text and together[number].finish == alone.finish
        np.testing.assert_allclose(together[number].logprobs, alone.logprobs, atol=2e-5)


def test_a_short_row_beside_a_long_one_still_has_the_whole_context():
    mute = tiny.model()
    with torch.no_grad():
        mute.head[tiny.tokenizer().bos :] = (
            0  # special tokens are about as probable as any other, so few rows end by one
        )
        mute.head *= 2
    engine = Engine(mute, tiny.tokenizer())
    short, long = tiny.prompt("L"), (tiny.prompt(tiny.TEXT) * 3)[: tiny.CONTEXT - 2]
    made = engine.generate([short, long], Sampling(temperature=1, seed=21, max_tokens=500))
    alone = [
        engine.generate([prompt], Sampling(temperature=1, seed=21, max_tokens=500), first_row=row)[0]
        for row, prompt in enumerate((short, long))
    ]
    assert [one.tokens for one in made] == [one.tokens for one in alone]
    assert [one.finish for one in made] == ["context", "context"]


def test_logprobs_and_loss_are_the_models_own_whatever_the_settings(engine):
    prompt = tiny.prompt("Light fell")
    for sampling in (
        Sampling(temperature=2.0, top_k=5, seed=3),
        Sampling(temperature=0),
        Sampling(repetition_penalty=1.5),
    ):
        (made,) = engine.generate([prompt], sampling)
        expected = plain_logprobs(engine.model, prompt + list(made.tokens))[len(prompt) - 1 :]
        np.testing.assert_allclose(made.logprobs, expected, atol=2e-5)
        assert made.loss == pytest.approx(-np.mean(made.logprobs)) and made.perplexity == pytest.approx(
            math.exp(made.loss)
        )


def test_the_stream_says_what_generate_says_and_breaks_no_character(engine):
    for seed in range(6):
        sampling = Sampling(temperature=1.2, seed=seed, max_tokens=30)
        pieces = list(engine.stream(tiny.prompt("«Gr"), sampling))
        (made,) = engine.generate([tiny.prompt("«Gr")], sampling)
        assert tuple(piece.token for piece in pieces) == made.tokens
        ends = {engine.tokenizer.bos, engine.tokenizer.specials["<|end|>"]}
        ordinary = [token for token in made.tokens if token not in ends]
        assert "".join(piece.text for piece in pieces) == made.text == engine.tokenizer.decode(ordinary)
        assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1) and pieces[
            -1
        ].finish == made.finish


def test_the_same_seed_gives_the_same_text_and_another_seed_another(engine):
    said = [
        engine.generate([tiny.prompt("The")], Sampling(temperature=1, seed=seed, max_tokens=12))[0].tokens
        for seed in (1, 1, 2)
    ]
    assert said[0] == said[1] != said[2]


def test_a_session_reads_only_what_is_new_and_says_the_same(engine, monkeypatch):
    lengths = []
    hidden = type(engine.model).hidden

    def counted(self, tokens_BT, cache=None, tap=None):
        lengths.append(tokens_BT.shape[1])
        return hidden(self, tokens_BT, cache, tap)

    monkeypatch.setattr(type(engine.model), "hidden", counted)
    sampling, session = Sampling(temperature=0, max_tokens=4), Session()
    first = tiny.prompt("The frame of glass")
    said = [piece.token for piece in engine.stream(first, sampling, session=session)]
    # No forward after the last token: one for the prompt, and one for each token but the last.
    assert lengths == [len(first)] + [1] * (len(said) - 1)
    assert session.tokens == first + said[:-1]
    second = first + said + engine.tokenizer.encode(" Light")
    lengths.clear()
    again = [piece.token for piece in engine.stream(second, sampling, session=session)]
    assert lengths[0] == len(second) - len(first) - len(said) + 1
    assert again == list(engine.generate([second], sampling)[0].tokens)
    # Going back to an earlier turn keeps the common beginning and forgets the rest.
    third = first[:-1] + engine.tokenizer.encode(" stood")
    lengths.clear()
    assert [p.token for p in engine.stream(third, sampling, session=session)] == list(
        engine.generate([third], sampling)[0].tokens
    )
    assert lengths[0] == len(third) - len(first) + 1
    # The same prompt again still has its last token to read.
    assert [p.token for p in engine.stream(third, sampling, session=session)] == list(
        engine.generate([third], sampling)[0].tokens
    )


def test_a_session_survives_an_answer_that_was_left_off(engine):
    session, sampling = Session(), Sampling(temperature=0, max_tokens=10)
    prompt = tiny.prompt("Nobody came")
    half = [piece.token for piece in itertools.islice(engine.stream(prompt, sampling, session=session), 3)]
    going_on = prompt + half
    assert [p.token for p in engine.stream(going_on, sampling, session=session)] == list(
        engine.generate([going_on], sampling)[0].tokens
    )


def test_a_session_begins_anew_with_another_model(engine):
    other, session = Engine(tiny.model(seed=9), tiny.tokenizer()), Session()
    prompt, sampling = tiny.prompt("The frame"), Sampling(temperature=0, max_tokens=6)
    list(engine.stream(prompt, sampling, session=session))
    assert [p.token for p in other.stream(prompt, sampling, session=session)] == list(
        other.generate([prompt], sampling)[0].tokens
    )


def test_each_way_to_end_is_named(engine):
    prompt, ends = tiny.prompt("The frame"), set()
    (free,) = engine.generate([prompt], Sampling(temperature=1, seed=1, max_tokens=8))
    assert engine.generate([prompt], Sampling(temperature=1, seed=1, max_tokens=3))[0].finish == "length"
    stop = free.text[2:5]
    (stopped,) = engine.generate([prompt], Sampling(temperature=1, seed=1, max_tokens=8, stop=(stop,)))
    assert stopped.finish == "stop" and stopped.text == free.text[: free.text.index(stop)]
    for seed in range(40):
        (made,) = engine.generate([prompt], Sampling(temperature=1.5, seed=seed, max_tokens=500))
        ends.add(made.finish)
        if made.finish == "end":
            assert made.tokens[-1] in (engine.tokenizer.bos, engine.tokenizer.specials["<|end|>"])
            assert "<|end|>" not in made.text and "<|bos|>" not in made.text
        else:
            assert made.finish == "context" and len(prompt) + len(made.tokens) == tiny.CONTEXT + 1
    assert ends == {"end", "context"}


def test_a_prompt_as_long_as_the_context_gives_one_token_and_a_longer_one_is_refused(engine):
    full = (tiny.prompt(tiny.TEXT) * 3)[: tiny.CONTEXT]
    (made,) = engine.generate([full], Sampling(temperature=0))
    assert len(made.tokens) == 1 and made.finish in ("context", "end")
    for speak in (lambda row: engine.generate([row], Sampling()), lambda row: engine.stream(row, Sampling())):
        with pytest.raises(ContextFullError, match=f"{tiny.CONTEXT + 3} tokens long.*holds {tiny.CONTEXT}"):
            speak(full + full[:3])


@pytest.mark.parametrize("prompt", [[], [-1], [10**6]])
def test_a_prompt_that_is_none_is_refused(engine, prompt):
    with pytest.raises(UsageError):
        engine.generate([prompt], Sampling())


def test_no_prompts_give_no_answers(engine):
    assert engine.generate([], Sampling()) == []


def test_scores_that_are_not_finite_are_an_error_and_not_a_token():
    broken = tiny.model()
    with torch.no_grad():
        broken.head.fill_(float("nan"))
    for temperature in (0.0, 1.0):
        with pytest.raises(CheckpointError, match="not finite"):
            Engine(broken, tiny.tokenizer()).generate([tiny.prompt("a")], Sampling(temperature=temperature))


def test_logprobs_of_rows_of_any_length_equal_those_of_each_alone(engine):
    rows = [tiny.prompt(text) for text in PROMPTS] + [[5], (tiny.prompt(tiny.TEXT) * 3)[: tiny.CONTEXT + 1]]
    for row, found in zip(rows, engine.logprobs(rows), strict=True):
        assert found.dtype == np.float32 and len(found) == len(row) - 1
        if len(row) > 1:
            np.testing.assert_allclose(found, plain_logprobs(engine.model, row), atol=2e-5)
    with pytest.raises(ContextFullError):
        engine.logprobs([[1] * (tiny.CONTEXT + 2)])


def test_the_layout_for_speaking_changes_no_number_and_no_name():
    model = tiny.model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    said = Engine(model, tiny.tokenizer()).generate([tiny.prompt("The")], Sampling(temperature=0))[0]
    lay_out(model)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert (
        Engine(model, tiny.tokenizer()).generate([tiny.prompt("The")], Sampling(temperature=0))[0].tokens == said.tokens
    )


def test_a_model_that_spoke_while_it_learns_can_go_on_learning():
    model = tiny.model()
    Engine(model, tiny.tokenizer()).generate([tiny.prompt("The")], Sampling(max_tokens=2))
    tokens = torch.randint(0, 300, (2, 9))
    loss, _ = model(tokens[:, :-1], tokens[:, 1:], torch.ones(2, 8))
    loss.backward()
    assert model.head.grad is not None


@pytest.mark.parametrize("window_pattern", ["L", "SL"])
@pytest.mark.parametrize("backend", ["blocked", "fused"])
def test_reading_in_pieces_is_reading_at_once(window_pattern, backend):
    model = tiny.model(window_pattern=window_pattern, context=200)
    model.backend = backend
    tokens = torch.randint(0, 300, (1, 170), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model.hidden(tokens)
        cache = KVCache(model.sizes)
        pieces = [model.hidden(piece, cache) for piece in tokens.split([1, 7, 100, 1, 61], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=2e-5, rtol=1e-4)
