"""How many tokens a vocabulary should have: what each size gains in text, and what it costs at a depth.

Byte pairs are learned in an order, so one training gives all smaller vocabularies too. A larger one reads more text
with each token, which saves passes through the layers; its head, which is multiplied for every token, costs more. The
operations that training spends on a byte of text therefore first fall with the size, then rise. They say what the same
text costs, not how well it is learned; but Tao et al. (2024, "Scaling laws with vocabulary") find the best size from
the same minimum, and about the same from the losses of trained models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from coldframe.corpus.sources import OpenedSource
from coldframe.hardware import Hardware
from coldframe.plan import Plan, make_plan
from coldframe.settings import PlanSettings
from coldframe.tokens.compression import measured_texts
from coldframe.tokens.holdout import hold_out_below, text_hash
from coldframe.tokens.sample import texts_of, training_sample
from coldframe.tokens.tokenizer import Tokenizer

SIZES = (2048, 4096, 8192, 16384, 32768, 65536)
MOST_COST = 1.03
"""Training operations a byte, over those of the size that needs fewest, up to which the largest size is taken: beside
them it reads more text in a context, and writes it with fewer tokens."""
SEEN, SEEN_SHARE = 100, 0.9
"""What is learned of a token rests on how often it was seen: this often, of this share of the vocabulary."""
_HELD_OUT = 0.05
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeMeasured:
    """A size of vocabulary: what it gains and what it costs."""

    vocab_size: int
    bytes_per_token: dict[str, float]
    """By source, on text that it was not learned from."""
    mean_bytes_per_token: float
    """Of all that text together."""
    table_parameters: int
    """Numbers in the embedding, the value embeddings and the head."""
    parameters: int
    operations_per_byte: float
    """Floating-point operations of training for a byte of text."""
    cost: float
    """Those, over the fewest of all sizes."""
    seldom: float
    """Share of the vocabulary that would be seen fewer than `SEEN` times in the whole training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What each size gives, which one is recommended, and which one the plan takes by itself."""

    depth: int
    tokens: int
    """Training tokens of the plan's own vocabulary; other sizes get the same number of operations."""
    sizes: tuple[SizeMeasured, ...]
    recommended: int
    reason: str
    planned: int
    beside_the_plan: str
    """How the recommendation stands to what the plan takes."""


def advise(
    opened: Sequence[OpenedSource], *, depth: int | None, tokens: float | None, hardware: Hardware, progress: Progress
) -> Advice:
    """Learn the largest vocabulary, measure every size of it on held-out text, and compare.

    Raises:
        SourceError: for a source without text.
        SettingsError: for a depth or a number of tokens that no plan can have.
    """
    settings = PlanSettings(depth=depth, num_tokens=tokens)
    usual = make_plan(settings, hardware).plan
    budget = usual.flops_per_token * usual.total_tokens
    bounds = [hold_out_below(texts_of(source), _HELD_OUT) for source in opened]
    sample = training_sample(
        list(zip(opened, bounds, strict=True)), lambda done: progress("training the largest vocabulary", done)
    )
    largest = Tokenizer.train(sample, max(SIZES))
    kept = [size for size in SIZES if size <= largest.vocab_size] or [largest.vocab_size]
    tokenizers = [largest.truncated(size) for size in kept]
    measured = _measure(tokenizers, opened, bounds, progress)
    sizes = []
    for tokenizer, (ratios, mean, counts) in zip(tokenizers, measured, strict=True):
        changed = dataclasses.replace(settings, depth=usual.depth, vocab_size=tokenizer.vocab_size, num_tokens=None)
        plan = make_plan(changed, hardware).plan
        sizes.append(_measured(plan, ratios, mean, counts, budget))
    least = min(size.operations_per_byte for size in sizes)
    sizes = [dataclasses.replace(size, cost=round(size.operations_per_byte / least, 4)) for size in sizes]
    recommended, reason = _recommended(sizes)
    return Advice(
        depth=usual.depth,
        tokens=usual.total_tokens,
        sizes=tuple(sizes),
        recommended=recommended,
        reason=reason,
        planned=usual.vocab_size,
        beside_the_plan=_beside(sizes, recommended, usual),
    )


def _measured(plan: Plan, ratios: dict[str, float], mean: float, counts: np.ndarray, budget: float) -> SizeMeasured:
    expected = counts * (budget / plan.flops_per_token / max(1, counts.sum()))
    return SizeMeasured(
        vocab_size=plan.vocab_size,
        bytes_per_token=ratios,
        mean_bytes_per_token=mean,
        table_parameters=plan.sizes.num_table_parameters,
        parameters=plan.num_parameters,
        operations_per_byte=round(plan.flops_per_token / mean, 1),
        cost=0.0,
        seldom=round(float((expected < SEEN).mean()), 4),
    )


def _measure(
    tokenizers: Sequence[Tokenizer], opened: Sequence[OpenedSource], bounds: Sequence[int], progress: Progress
) -> list[tuple[dict[str, float], float, np.ndarray]]:
    """For each tokenizer bytes per token by source and of all, on held-out text; and how often it uses each token."""
    held_out = {source.name: bound for source, bound in zip(opened, bounds, strict=True)}
    tokens = [dict.fromkeys(held_out, 0) for _ in tokenizers]
    sizes = dict.fromkeys(held_out, 0)
    counts = [np.zeros(tokenizer.vocab_size, np.int64) for tokenizer in tokenizers]
    for source, texts in measured_texts(opened, progress):
        for text in texts:
            bound = held_out[source.name]
            counted = not bound or text_hash(text) < bound  # of a single text nothing is held out
            sizes[source.name] += len(text.encode("utf-8")) * counted
            for number, tokenizer in enumerate(tokenizers):
                ids = tokenizer.encode_array(text)
                counts[number] += np.bincount(ids, minlength=tokenizer.vocab_size)
                tokens[number][source.name] += len(ids) * counted
    return [
        (
            {name: round(sizes[name] / max(1, of_source[name]), 4) for name in sizes},
            round(sum(sizes.values()) / max(1, sum(of_source.values())), 4),
            of_tokens,
        )
        for of_source, of_tokens in zip(tokens, counts, strict=True)
    ]


def _recommended(sizes: Sequence[SizeMeasured]) -> tuple[int, str]:
    """The largest size that is worth what it costs and whose tokens are seen often enough."""
    least = min(sizes, key=lambda size: size.cost)
    often = [size for size in sizes if size.seldom <= 1 - SEEN_SHARE] or [sizes[0]]
    worth = [size for size in often if size.cost <= MOST_COST] or [min(often, key=lambda size: size.cost)]
    chosen = worth[-1]
    said = f"{least.vocab_size:,} tokens need the fewest training operations for a byte of text"
    if chosen != least:
        said += (
            f"; {chosen.vocab_size:,} need {chosen.cost - 1:+.0%} and read "
            f"{chosen.mean_bytes_per_token / least.mean_bytes_per_token - 1:+.0%} text with a token"
        )
    after = next((size for size in sizes if size.vocab_size > chosen.vocab_size), None)
    if after is not None:
        gained = after.mean_bytes_per_token / chosen.mean_bytes_per_token - 1
        said += f"; {after.vocab_size:,} would read {gained:+.1%} more, "
        if after in often:
            said += f"and need {after.cost / chosen.cost - 1:+.0%} operations a byte and "
        else:
            said += f"but {after.seldom:.0%} of its tokens would be seen fewer than {SEEN} times, for "
        said += f"{after.parameters / chosen.parameters - 1:+.0%} parameters"
    return chosen.vocab_size, said


def _beside(sizes: Sequence[SizeMeasured], recommended: int, plan: Plan) -> str:
    if plan.vocab_size == recommended:
        return "the plan takes the same by itself"
    said = f"the plan takes {plan.vocab_size:,} by itself, whatever the text"
    found = next((size for size in sizes if size.vocab_size == plan.vocab_size), None)
    if found is not None:
        said += (
            f" ({found.cost - 1:+.0%} operations a byte over the least, {found.seldom:.0%} of its tokens seen seldom)"
        )
    return f"{said}; to take this advice: --set plan.vocab_size={recommended}"
