"""The engine: prompts in, tokens out, one forward for each; one row is a case of several.

Shapes: B rows, T tokens, C width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coldframe.errors import CheckpointError, ContextFullError, UsageError
from coldframe.generate.sampling import Sampling, next_tokens, row_generator, token_logprobs
from coldframe.generate.scoring import token_losses
from coldframe.generate.stream import TextStream
from coldframe.model.cache import KVCache
from coldframe.model.transformer import Transformer
from coldframe.tokens.tokenizer import Tokenizer

Finish = Literal["end", "stop", "length", "context"]
#: Special tokens with which a model says that it is done.
END_TOKENS = ("<|end|>", "<|bos|>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """One token as it comes; `finish` says why when it is the last."""

    token: int
    text: str
    """What became certain by this token; nothing while a character or a stop text is incomplete."""
    logprob: float
    """Under the model itself: temperature 1, nothing ruled out; nats."""
    finish: Finish | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A whole answer. `tokens` and `logprobs` hold the token that ended it, which `text` leaves out."""

    tokens: tuple[int, ...]
    text: str
    logprobs: tuple[float, ...]
    finish: Finish
    loss: float
    """Mean of -logprobs, nats a token."""
    perplexity: float


class Session:
    """A conversation's keys and values, kept between turns; one stream at a time.

    A turn reuses them as far as its prompt begins with the same tokens; the rest is forgotten. Another model begins
    anew; a model whose weights were changed in place needs a new session.
    """

    __slots__ = ("_cache", "_model", "tokens")

    def __init__(self) -> None:
        self.tokens: list[int] = []
        """The tokens that are kept."""
        self._model: Transformer | None = None
        self._cache: KVCache | None = None

    def begin(self, model: Transformer, prompt: Sequence[int]) -> KVCache:
        """The cache for a turn: what it shares with the last one; at least the prompt's last token is left to read."""
        if self._cache is None or self._model is not model:
            self._model, self._cache, self.tokens = model, _new_cache(model, 1, None), []
        shared = 0
        for kept, token in zip(self.tokens, prompt[:-1], strict=False):
            if kept != token:
                break
            shared += 1
        self._cache.truncate(shared)
        del self.tokens[shared:]
        return self._cache


@dataclass(slots=True, kw_only=True)
class _Row:
    """One row while it is being written."""

    number: int
    prompt: Sequence[int]
    generator: np.random.Generator
    stream: TextStream
    counted: list[int]
    """What the repetition penalty counts: ordinary tokens of prompt and answer."""
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None


class Engine:
    """Lets a model speak; keeps no state between calls."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._ends = frozenset(tokenizer.specials[name] for name in END_TOKENS)
        self._specials = frozenset(tokenizer.specials.values())

    def stream(
        self, prompt_ids: Sequence[int], sampling: Sampling, *, session: Session | None = None
    ) -> Iterator[Emitted]:
        """One answer, token by token; may be left off at any token, and a session stays good for the next turn.

        Raises:
            ContextFullError: when the prompt does not fit the context.
            UsageError: when the prompt is empty or not of this vocabulary.
        """
        self._check(prompt_ids)
        cache = session.begin(self.model, prompt_ids) if session else _new_cache(self.model, 1, None)
        read = session.tokens if session else []
        return (emitted for _, emitted in self._speak([list(prompt_ids)], sampling, 0, cache, read))

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, first_row: int = 0) -> list[Generated]:
        """One answer to each prompt, together; row r draws as row `first_row` + r, whatever stands beside it.

        Raises:
            ContextFullError: when a prompt does not fit the context.
            UsageError: when a prompt is empty or not of this vocabulary.
        """
        for prompt in prompts:
            self._check(prompt)
        if not prompts:
            return []
        lengths = [len(prompt) for prompt in prompts]
        starts = None if len(set(lengths)) == 1 else torch.tensor([max(lengths) - length for length in lengths])
        cache = _new_cache(self.model, len(prompts), starts)
        emitted: list[list[Emitted]] = [[] for _ in prompts]
        for number, one in self._speak([list(prompt) for prompt in prompts], sampling, first_row, cache, []):
            emitted[number].append(one)
        return [_generated(row) for row in emitted]

    def logprobs(self, rows: Sequence[Sequence[int]]) -> list[npt.NDArray[np.float32]]:
        """Log-probability of every token after the first, given those before it, row by row (one fewer than tokens).

        Raises:
            ContextFullError: for a row of more than the context and one.
        """
        return [-losses for losses in token_losses(self.model, [np.array(row) for row in rows])]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _speak(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, first_row: int, cache: KVCache, read: list[int]
    ) -> Iterator[tuple[int, Emitted]]:
        """The loop over tokens. `read` is what the cache holds of a single row, kept up to date as more is read."""
        rows = [self._row(number, prompt, sampling, first_row) for number, prompt in enumerate(prompts)]
        column = [prompt[cache.length :] for prompt in prompts]
        while True:
            logits_BV = self._next_logits(column, cache)
            read.extend(column[0])
            tokens_B = next_tokens(logits_BV, sampling, [row.counted for row in rows], [row.generator for row in rows])
            logprobs = token_logprobs(logits_BV, tokens_B).tolist()
            for row, token, logprob in zip(rows, tokens_B.tolist(), logprobs, strict=True):
                yield row.number, self._emit(row, token, logprob, sampling)
            going = [index for index, row in enumerate(rows) if row.finish is None]
            if not going:
                return
            if len(going) < len(rows):
                cache.keep(going)
                rows = [rows[index] for index in going]
            column = [row.tokens[-1:] for row in rows]

    def _next_logits(self, column: Sequence[Sequence[int]], cache: KVCache) -> Tensor:
        """Read each row's new tokens into the cache, padded on the left; gives what may come next (float32, B, V)."""
        longest = max(map(len, column))
        padded = [[self.tokenizer.bos] * (longest - len(tokens)) + list(tokens) for tokens in column]
        tokens_BT = torch.tensor(padded, dtype=torch.int64, device=self.model.head.device)
        return self.model.logits(self.model.hidden(tokens_BT, cache)[:, -1])

    def _row(self, number: int, prompt: Sequence[int], sampling: Sampling, first_row: int) -> _Row:
        return _Row(
            number=number,
            prompt=prompt,
            generator=row_generator(sampling.seed, first_row + number),
            stream=TextStream(sampling.stop),
            counted=[token for token in prompt if token not in self._specials],
        )

    def _emit(self, row: _Row, token: int, logprob: float, sampling: Sampling) -> Emitted:
        """Take a row's new token: what it adds to the text, and whether it is the last."""
        if not math.isfinite(logprob):
            raise CheckpointError(
                "the model's scores are not finite numbers",
                advice="its training diverged; go back to an earlier checkpoint",
            )
        row.tokens.append(token)
        text = "" if token in self._ends else row.stream.push(self.tokenizer.decode_bytes([token]))
        if token not in self._specials:
            row.counted.append(token)
        if token in self._ends:
            row.finish = "end"
        elif row.stream.stopped:
            row.finish = "stop"
        elif len(row.tokens) >= sampling.max_tokens:
            row.finish = "length"
        elif len(row.prompt) + len(row.tokens) > self.model.sizes.context:
            row.finish = "context"
        if row.finish is not None:
            text += row.stream.finish()
        return Emitted(token=token, text=text, logprob=logprob, finish=row.finish)

    def _check(self, prompt: Sequence[int]) -> None:
        context, vocab_size = self.model.sizes.context, self.model.sizes.vocab_size
        if len(prompt) > context:
            raise ContextFullError(
                f"the prompt is {len(prompt)} tokens long, and the model's context holds {context}",
                advice=f"shorten it by at least {len(prompt) - context} tokens, or begin a new conversation",
            )
        if not prompt:
            raise UsageError("there is nothing to go on from: the prompt is empty", advice="begin it with <|bos|>")
        strange = next((token for token in prompt if not 0 <= token < vocab_size), None)
        if strange is not None:
            raise UsageError(
                f"the prompt has token {strange}, and the model's vocabulary has {vocab_size}",
                advice="encode it with the run's own tokenizer",
            )


def _new_cache(model: Transformer, num_rows: int, starts: Tensor | None) -> KVCache:
    device = model.head.device
    return KVCache(
        model.sizes,
        batch=num_rows,
        dtype=model.compute_dtype,
        device=device,
        starts=None if starts is None else starts.to(device),
    )


def _generated(emitted: Sequence[Emitted]) -> Generated:
    finish = emitted[-1].finish
    assert finish is not None
    loss = -math.fsum(one.logprob for one in emitted) / len(emitted)
    return Generated(
        tokens=tuple(one.token for one in emitted),
        text="".join(one.text for one in emitted),
        logprobs=tuple(one.logprob for one in emitted),
        finish=finish,
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)),
    )
