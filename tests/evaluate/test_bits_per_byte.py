"""Bits per byte against a plain sum, and that nothing but the documents decides it."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from coldframe.errors import SourceError
from coldframe.evaluate.bits_per_byte import Scored, bits_per_byte, windows_of
from tests.generate import tiny


def documents(count: int = 24, seed: int = 0) -> list[Scored]:
    """Documents from one word to several contexts."""
    draw, words = random.Random(seed), tiny.TEXT.split()
    texts = [" ".join(draw.choices(words, k=draw.choice([1, 4, 10, 40]))) for _ in range(count)]
    return [Scored(ids=np.array(tiny.prompt(text), dtype=np.uint16), num_bytes=len(text.encode())) for text in texts]


def plain_nats(document: Scored, context: int, stride: int) -> float:
    """One target at a time, each with the tokens that its window gives it."""
    ids, total, start = document.ids.astype(np.int64), 0.0, 0
    for target in range(1, len(ids)):
        while target > start + context:
            start += stride
        with torch.no_grad():
            logits = tiny.shared_model().logits(tiny.shared_model().hidden(torch.tensor(ids[None, start:target])))
        total -= torch.log_softmax(logits[0, -1].double(), -1)[ids[target]].item()
    return total


def test_it_is_the_sum_over_every_token_once_with_what_stands_before_it():
    some = documents(5)
    assert max(len(one.ids) for one in some) > 2 * tiny.CONTEXT
    for context, stride in ((tiny.CONTEXT, 24), (20, 7)):
        expected = (
            math.fsum(plain_nats(one, context, stride) for one in some)
            / math.log(2)
            / sum(one.num_bytes for one in some)
        )
        found = bits_per_byte(tiny.shared_model(), {"made": some}, context=context, stride=stride)
        assert [one.source for one in found] == ["made", "all"]
        assert found[0].value == pytest.approx(expected, rel=1e-6) and found[1].value == found[0].value
        assert found[0].num_tokens == sum(len(one.ids) - 1 for one in some) and found[0].context == context


def test_batches_and_order_make_no_difference():
    some = documents()
    shuffled = random.Random(1).sample(some, len(some))
    alone = bits_per_byte(tiny.shared_model(), {"made": some}, batch_tokens=1)[0]
    together = bits_per_byte(tiny.shared_model(), {"made": shuffled}, batch_tokens=16 * tiny.CONTEXT)[0]
    for name in ("value", "low", "high"):
        assert getattr(together, name) == pytest.approx(getattr(alone, name), rel=1e-6)


def test_all_weighs_every_byte_alike():
    found = bits_per_byte(tiny.shared_model(), {"a": documents(9, 1), "b": documents(5, 2), "empty": []})
    assert [one.source for one in found] == ["a", "b", "all"]
    a, b, both = found
    assert both.value == pytest.approx((a.value * a.num_bytes + b.value * b.num_bytes) / (a.num_bytes + b.num_bytes))
    assert both.num_documents == 14 and both.num_bytes == a.num_bytes + b.num_bytes
    assert both.low < both.value < both.high


def test_the_interval_narrows_with_more_documents_and_is_unknown_for_one():
    few, many = (bits_per_byte(tiny.shared_model(), {"made": documents(count)})[0] for count in (6, 60))
    assert many.high - many.low < few.high - few.low
    assert few.low <= few.value <= few.high
    (one, _) = bits_per_byte(tiny.shared_model(), {"made": documents(1)})
    assert math.isnan(one.low) and math.isnan(one.high) and one.value > 0


def test_a_bound_on_bytes_chooses_the_same_documents_in_any_order():
    some = documents(40)
    bound = sum(one.num_bytes for one in some) // 3
    first = bits_per_byte(tiny.shared_model(), {"made": some}, max_bytes=bound)[0]
    again = bits_per_byte(tiny.shared_model(), {"made": some[::-1]}, max_bytes=bound)[0]
    assert bound * 0.7 < first.num_bytes <= bound and 1 < first.num_documents < 40
    assert again.value == pytest.approx(first.value, rel=1e-6) and again.num_documents == first.num_documents
    assert bits_per_byte(tiny.shared_model(), {"made": some}, max_bytes=1)[0].num_documents == 1
    other = bits_per_byte(tiny.shared_model(), {"made": some}, max_bytes=bound, seed=1)[0]
    assert other.value != first.value


def test_an_untrained_model_needs_the_bits_of_a_guess():
    model = tiny.model()
    with torch.no_grad():
        model.head.zero_()
    some = documents(4)
    found = bits_per_byte(model, {"made": some})[0]
    guess = sum(len(one.ids) - 1 for one in some) * math.log2(tiny.tokenizer().vocab_size)
    assert found.value == pytest.approx(guess / sum(one.num_bytes for one in some), rel=1e-6)


def test_no_text_is_an_error():
    with pytest.raises(SourceError):
        bits_per_byte(tiny.shared_model(), {"made": []})


@pytest.mark.parametrize(("context", "stride"), [(8, 4), (8, 8), (8, 1), (5, 3), (1, 1)])
def test_windows_score_every_token_once_with_enough_before_it(context, stride):
    for num_tokens in range(40):
        scored = []
        for start, skip in windows_of(num_tokens, context=context, stride=stride):
            targets = range(start + 1 + skip, min(start + context + 1, num_tokens))
            assert all(target - start >= min(target, context - stride) for target in targets) and targets
            scored += targets
        assert scored == list(range(1, num_tokens))
