"""A tiny model and tokenizer, real in every part, that the tests of speaking and measuring share."""

from __future__ import annotations

import dataclasses
import functools
import time

import tomli_w
import torch

from coldframe.model.sizes import Sizes, sizes_of_depth
from coldframe.model.transformer import Transformer
from coldframe.run.paths import RunFolder
from coldframe.tokens.tokenizer import Tokenizer

TEXT = (
    "The frame of glass stood open while seeds took root. Light fell upon warm soil, and water ran down each pane. "
    "«Grün ist das Licht», sagte sie; 蛙が水に飛び込む。 Nobody came before the frost. "
)
CONTEXT = 48


@functools.cache
def tokenizer() -> Tokenizer:
    """Bytes and a few pairs, so that characters often stand in several tokens."""
    return Tokenizer.train([TEXT * 40], 320)


def sizes(**changes: object) -> Sizes:
    """Two layers with fewer key heads than query heads."""
    base = sizes_of_depth(2, vocab_size=tokenizer().vocab_size, context=CONTEXT, width=64, head_dim=16, num_kv_heads=2)
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def model(seed: int = 0, **changes: object) -> Transformer:
    """A model of random weights that has an opinion: no matrix is zero, and its scores are far from even."""
    made = Transformer(sizes(**changes), backend="blocked")
    made.initialise(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(made.named_parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * (0.1 if name != "head" else 0.3))
    return made


@functools.cache
def shared_model() -> Transformer:
    """The model that tests only read."""
    return model().requires_grad_(False)


def prompt(text: str) -> list[int]:
    """A document's beginning."""
    return [tokenizer().bos, *tokenizer().encode(text)]


def write_run(folder: RunFolder, *, kind: str | None = None) -> None:
    """A run folder with plan and tokenizer, and no weights yet."""
    folder.create()
    run = {"name": folder.name, "created": time.time()} | ({"kind": kind} if kind else {})
    content = {"run": run, "plan": {**dataclasses.asdict(sizes()), "num_steps": 10, "dtype": "float32"}}
    folder.plan_file.write_text(tomli_w.dumps(content), encoding="utf-8")
    tokenizer().save(folder.tokenizer)
