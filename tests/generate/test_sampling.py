"""Drawing the next token, held against a plain reference in Python's own numbers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from coldframe.errors import SettingsError
from coldframe.generate.sampling import Sampling, next_tokens, penalised, probabilities, row_generator, token_logprobs

SETTINGS = some.builds(
    Sampling,
    temperature=some.sampled_from([0.05, 0.7, 1.0, 3.0]),
    top_k=some.integers(0, 40),
    top_p=some.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 1.0]),
    min_p=some.sampled_from([0.0, 0.05, 0.3, 1.0]),
    repetition_penalty=some.sampled_from([1.0, 1.3, 0.8]),
)


def reference(logits: list[float], sampling: Sampling, history: list[int]) -> list[float]:
    """Normalised probabilities to draw from, one rule after the other, as the settings describe them."""
    scores = list(logits)
    for token in set(history):
        scores[token] *= 1 / sampling.repetition_penalty if scores[token] > 0 else sampling.repetition_penalty
    highest = max(scores)
    weights = [math.exp((score - highest) / sampling.temperature) for score in scores]
    probs = [weight / math.fsum(weights) for weight in weights]
    if sampling.top_k:
        floor = sorted(probs, reverse=True)[min(sampling.top_k, len(probs)) - 1]
        probs = [prob if prob >= floor else 0.0 for prob in probs]
    ranked, reached = sorted(probs, reverse=True), 0.0
    for floor in ranked:
        reached += floor
        if reached >= sampling.top_p * math.fsum(probs):
            break
    if sampling.top_p < 1:
        probs = [prob if prob >= floor else 0.0 for prob in probs]
    probs = [prob if prob >= sampling.min_p * max(probs) else 0.0 for prob in probs]
    return [prob / math.fsum(probs) for prob in probs]


@given(SETTINGS, some.integers(0, 10**6), some.lists(some.integers(0, 29), max_size=20))
def test_what_is_kept_and_how_probable_it_is_equal_the_reference(sampling, seed, history):
    logits = np.random.default_rng(seed).normal(0, 3, 30)
    scores = penalised(torch.tensor(logits)[None], [history], sampling.repetition_penalty)
    found = probabilities(scores, sampling)[0]
    expected = reference(logits.tolist(), sampling, history)
    np.testing.assert_allclose((found / found.sum()).numpy(), expected, atol=1e-9)


def test_the_coldest_draws_the_most_probable():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    drawn = next_tokens(logits, Sampling(temperature=1e-46), [[]] * 3, [row_generator(0, row) for row in range(3)])
    assert drawn.tolist() == logits.argmax(dim=-1).tolist()
    Sampling(top_k=10**400)  # more than there are is all of them


def test_each_token_is_drawn_as_often_as_it_is_probable():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, 1.5]])
    sampling = Sampling(temperature=0.9, top_k=4)
    generator = row_generator(7, 0)
    many = 20_000
    drawn = next_tokens(logits.expand(many, -1), sampling, [[]] * many, [generator] * many)
    expected = reference(logits[0].tolist(), sampling, [])
    np.testing.assert_allclose(np.bincount(drawn.numpy(), minlength=5) / many, expected, atol=0.012)
    assert expected[3] == 0


def test_what_has_no_probability_is_never_drawn_whatever_the_number():
    class Ends:
        """A generator that gives the two ends of its range in turn."""

        def __init__(self) -> None:
            self.given = [0.0, 1 - 2**-53]

        def random(self) -> float:
            self.given.reverse()
            return self.given[0]

    logits = torch.randn(64, 50, generator=torch.Generator().manual_seed(1))
    sampling = Sampling(temperature=1.0, top_k=3)
    for _ in range(2):
        drawn = next_tokens(logits, sampling, [[]] * 64, [Ends()] * 64)
        assert bool((probabilities(logits, sampling).gather(1, drawn[:, None]) > 0).all())


def test_temperature_zero_takes_the_most_probable_and_draws_no_number():
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    generators = [row_generator(0, row) for row in range(2)]
    assert next_tokens(logits, Sampling(temperature=0), [[], []], generators).tolist() == [1, 0]
    assert generators[0].random() == row_generator(0, 0).random()


def test_a_tiny_temperature_is_the_same_as_none():
    logits = torch.tensor([[0.0, 300.0, 299.0]])
    assert next_tokens(logits, Sampling(temperature=1e-30), [[]], [row_generator(0, 0)]).tolist() == [1]


def test_the_penalty_turns_the_choice_away_from_what_was_said():
    logits = torch.tensor([[2.0, 1.9, -1.0]])
    sampling = Sampling(temperature=0, repetition_penalty=1.2)
    assert next_tokens(logits, sampling, [[]], []).tolist() == [0]
    assert next_tokens(logits, sampling, [[0, 0, 0]], []).tolist() == [1]
    assert logits.tolist() == torch.tensor([[2.0, 1.9, -1.0]]).tolist()


def test_top_p_looks_beyond_the_most_probable_when_they_do_not_reach_it():
    even = torch.zeros(1, 5000)
    even[0, :1000] = 1.0
    kept = probabilities(even, Sampling(temperature=1.0, top_p=0.3))[0] > 0
    assert kept.sum() == 1000


def test_logprobs_are_of_the_model_and_not_of_the_settings():
    logits = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([4, 0, 19])
    expected = [
        math.log(math.exp(row[token]) / sum(map(math.exp, row)))
        for row, token in zip(logits.tolist(), [4, 0, 19], strict=True)
    ]
    np.testing.assert_allclose(token_logprobs(logits, tokens).numpy(), expected, rtol=1e-5)


def test_a_rows_numbers_depend_on_seed_and_row_alone():
    assert row_generator(3, 5).random(4).tolist() == row_generator(3, 5).random(4).tolist()
    heads = {row_generator(seed, row).random() for seed in range(20) for row in range(20)}
    assert len(heads) == 400
    row_generator(-1, 0).random()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_k", 2.5),
        ("top_p", 1.1),
        ("min_p", -0.5),
        ("repetition_penalty", 0.0),
        ("max_tokens", 0),
        ("stop", ("",)),
        ("stop", "end"),
        ("seed", 2**70),
        ("top_k", True),
    ],
)
def test_nonsense_is_named_with_its_value(name, value):
    with pytest.raises(SettingsError) as caught:
        Sampling(**{name: value})
    assert name in caught.value.message and caught.value.advice


def test_off_values_are_allowed():
    off = Sampling(temperature=0, top_k=0, top_p=1, min_p=0, repetition_penalty=1)
    assert dataclasses.replace(off, top_p=0.0).top_p == 0
