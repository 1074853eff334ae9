"""What the trainer finds out about its own weights between steps: bits per byte of held-out text, and samples."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from coldframe.errors import SettingsError, SourceError
from coldframe.evaluate.bits_per_byte import Scored, bits_per_byte
from coldframe.generate.engine import Engine
from coldframe.generate.sampling import Sampling
from coldframe.generate.scoring import BATCH_TOKENS
from coldframe.run.record import Recorder
from coldframe.settings import TrainSettings
from coldframe.tokens.shards import TokenSource
from coldframe.tokens.tokenizer import Tokenizer
from coldframe.train.allocator import give_back_memory
from coldframe.train.trainer import Trainer, is_out_of_memory

_log = logging.getLogger("coldframe")


def prompt_ids(texts: Sequence[str], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """What the model is given to go on from, by the prompt's text."""
    return {text: [tokenizer.bos, *tokenizer.encode(text)] for text in texts}


def shortened(text: str) -> str:
    """A prompt in a message."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def check_prompts(settings: TrainSettings, tokenizer: Tokenizer, context: int) -> None:
    """Refuse prompts that leave the model no room.

    Raises:
        SettingsError: naming the first.
    """
    for text, ids in prompt_ids(settings.sample_prompts, tokenizer).items():
        if len(ids) > context:
            raise SettingsError(
                f"the sample prompt {shortened(text)} has {len(ids)} tokens, the context {context}",
                advice="shorten it (train.sample_prompts)",
            )


class Judge:
    """Scores and samples the present weights; changes nothing that training depends on."""

    def __init__(
        self,
        recorder: Recorder,
        trainer: Trainer,
        tokenizer: Tokenizer,
        sources: Sequence[TokenSource],
        settings: TrainSettings,
    ) -> None:
        self.recorder, self.trainer, self.tokenizer, self.settings = recorder, trainer, tokenizer, settings
        self._documents = {source.name: list(source.validation.documents()) for source in sources}

    def evaluate(self) -> float | None:
        """Measure bits per byte by source and overall (by bytes), record them, and give the overall.

        None, with an event, when no text is held out or memory runs out: that is no reason to stop training.
        """
        try:
            return self._score()
        except SourceError as error:
            self._not_measured("evaluate", "bits per byte", error.message)
        except (RuntimeError, MemoryError) as error:
            self._ran_out("evaluate", "bits per byte", error)
        finally:  # pieces of many sizes leave holes that training cannot use
            give_back_memory(self.trainer.device)
        return None

    def sample(self) -> None:
        """Let the model go on from each prompt, and record what it says; an event when memory runs out."""
        try:
            self._sample()
        except (RuntimeError, MemoryError) as error:
            self._ran_out("sample", "samples", error)
        finally:
            give_back_memory(self.trainer.device)

    def _ran_out(self, kind: str, what: str, error: Exception) -> None:
        if not is_out_of_memory(error):
            raise error
        self._not_measured(kind, what, "memory ran out")

    def _not_measured(self, kind: str, what: str, why: str) -> None:
        self.recorder.event(kind, f"{what} not measured: {why}", level="warning")
        _log.warning("%s not measured: %s", what, why)

    def _score(self) -> float:
        context = self.trainer.plan.context
        scores = bits_per_byte(
            self.trainer.model,
            {
                name: [Scored(ids=document.ids, num_bytes=document.num_bytes) for document in documents]
                for name, documents in self._documents.items()
            },
            context=context,
            max_bytes=self.settings.evaluate_bytes,
            seed=self.trainer.plan.seed,
            # No more at once than training has: what fits there fits here, where nothing is kept for a way back.
            batch_tokens=min(BATCH_TOKENS, self.trainer.state.device_batch * context),
        )
        for score in scores:
            self.recorder.evaluation(
                suite="bpb",
                source=score.source,
                metric="bits_per_byte",
                value=score.value,
                low=score.low,
                high=score.high,
                n=score.num_documents,
                detail={
                    "bytes": score.num_bytes,
                    "tokens": score.num_tokens,
                    "context": score.context,
                    "stride": score.stride,
                },
            )
        overall = next(score for score in scores if score.source == "all")
        interval = f"[{overall.low:.4f}, {overall.high:.4f}]" if overall.num_documents > 1 else "(of one document)"
        _log.info("bits per byte %.4f %s on %s bytes held out", overall.value, interval, f"{overall.num_bytes:,}")
        return overall.value

    def _sample(self) -> None:
        engine = Engine(self.trainer.model, self.tokenizer)
        step = self.trainer.state.step
        sampling = Sampling(
            temperature=self.settings.sample_temperature,
            seed=step,
            max_tokens=min(self.settings.sample_tokens, self.trainer.plan.context // 2),
        )
        prompts = prompt_ids(self.settings.sample_prompts, self.tokenizer)
        for text in [text for text, ids in prompts.items() if len(ids) > self.trainer.plan.context]:
            self._not_measured("sample", f"sample of {shortened(text)}", "the prompt is longer than the context")
            del prompts[text]
        texts, rows = list(prompts), self.trainer.state.device_batch  # again no more at once than training has
        for first in range(0, len(texts), rows):
            some = texts[first : first + rows]
            answers = engine.generate([prompts[text] for text in some], sampling, first_row=first)
            for text, made in zip(some, answers, strict=True):
                self.recorder.sample(
                    prompt=text,
                    text=made.text,
                    temperature=sampling.temperature,
                    seed=sampling.seed,
                    num_tokens=len(made.tokens),
                    loss=made.loss,
                    perplexity=made.perplexity,
                )
