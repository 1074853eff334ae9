"""One turn of a conversation: the newest weights are fetched, the text becomes tokens, the answer streams out."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from coldframe.errors import ColdframeError, DiskFullError
from coldframe.explore.conversations import Conversations, Message, Mode
from coldframe.explore.shapes import SamplingBody
from coldframe.explore.speakers import Speaker, Speakers, Which
from coldframe.run.view import RunView

if TYPE_CHECKING:
    from coldframe.generate.sampling import Sampling
    from coldframe.tokens.tokenizer import Tokenizer

logger = logging.getLogger("coldframe")

Tell = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn needs to know."""

    view: RunView
    mode: Mode
    conversation: int
    begun: bool
    """Whether this turn began the conversation."""
    question: int | None
    """The id of what the person said; None when the model is to go on by itself."""
    which: Which
    sampling: SamplingBody


@dataclass(slots=True, kw_only=True)
class _Said:
    """What the model has said in this turn so far."""

    step: int
    kind: str
    sampling: dict[str, Any]
    began: float
    first_token_seconds: float | None = None
    parts: list[str] = field(default_factory=list)
    num_tokens: int = 0
    finish: str = "stopped"

    def tokens_per_second(self) -> float | None:
        """Speed after the first token, which also pays for reading the prompt."""
        if self.first_token_seconds is None or self.num_tokens < 2:
            return None
        spent = time.perf_counter() - self.began - self.first_token_seconds
        return (self.num_tokens - 1) / spent if spent > 0 else None


def speak(turn: Turn, speakers: Speakers, conversations: Conversations, tell: Tell, stop: threading.Event) -> None:
    """Carry out a turn, telling start, token..., end or error; keeps what was said, also when it was stopped midway.

    Runs in a thread of its own; `stop` ends it after the token under way.
    """
    said: _Said | None = None
    try:
        began = time.perf_counter()
        speaker = speakers.speaker(turn.view, turn.which)
        if not speaker.turn.acquire(blocking=False):
            tell("waiting", {"message": "another conversation is being answered; this one is next"})
            speaker.turn.acquire()
        try:
            sampling = _sampling(turn.sampling)
            said = _Said(step=speaker.weights.step, kind=speaker.weights.kind, sampling=asdict(sampling), began=began)
            tell(
                "start",
                {
                    "conversation": turn.conversation,
                    "step": said.step,
                    "kind": said.kind,
                    "mode": turn.mode,
                    "sampling": said.sampling,
                },
            )
            _stream(turn, speaker, sampling, conversations, said, tell, stop)
        finally:
            speaker.turn.release()
        tell("end", _keep(turn.conversation, said, conversations))
    except ColdframeError as error:
        full = isinstance(error, DiskFullError)  # then nothing can be taken back either
        kept = turn.conversation if full else _keep_or_take_back(turn, said, conversations)
        tell("error", {**error.as_dict(), "conversation": kept})
    except Exception as error:  # a thread's last resort: the page must hear of it, and the log gets the trace
        logger.exception("a turn of conversation %d failed", turn.conversation)
        kept = _keep_or_take_back(turn, said, conversations)
        tell(
            "error",
            {
                "kind": type(error).__name__,
                "message": str(error),
                "advice": "this is a bug of coldframe; the log has its trace",
                "conversation": kept,
            },
        )


def _stream(
    turn: Turn,
    speaker: Speaker,
    sampling: Sampling,
    conversations: Conversations,
    said: _Said,
    tell: Tell,
    stop: threading.Event,
) -> None:
    prompt = _prompt(turn.mode, conversations.messages(turn.conversation), speaker.loaded.tokenizer)
    emitted = speaker.engine.stream(prompt, sampling, session=speaker.session(turn.conversation))
    for piece in emitted:
        if said.first_token_seconds is None:
            said.first_token_seconds = time.perf_counter() - said.began
        said.num_tokens += 1
        if piece.text:
            said.parts.append(piece.text)
            tell("token", {"text": piece.text, "logprob": round(piece.logprob, 3)})
        if piece.finish is not None:
            said.finish = piece.finish
            return
        if stop.is_set():
            return


def _prompt(mode: Mode, messages: list[Message], tokenizer: Tokenizer) -> list[int]:
    """The conversation as tokens: through the chat template, or end to end as one text for a model that continues."""
    from coldframe.tokens.chat import render_prompt

    if mode == "chat":
        return render_prompt([{"role": message.role, "content": message.text} for message in messages], tokenizer)
    text = "".join(message.text for message in messages).rstrip(" ")  # a word's token begins with its own space
    return [tokenizer.bos, *tokenizer.encode(text)]


def _sampling(body: SamplingBody) -> Sampling:
    from coldframe.generate.sampling import Sampling

    values = body.model_dump() | {
        "stop": tuple(body.stop),
        "seed": random.randrange(2**31) if body.seed is None else body.seed,
    }
    return Sampling(**values)


def _keep_or_take_back(turn: Turn, said: _Said | None, conversations: Conversations) -> int | None:
    """After an error: keep what was said till then; of a question without any answer, nothing.

    Gives the conversation, or None when nothing is left of it.
    """
    if said is not None and said.parts:
        said.finish = "error"
        _keep(turn.conversation, said, conversations)
        return turn.conversation
    if turn.question is not None:
        conversations.take_back(turn.question)
    if turn.begun and conversations.drop_empty(turn.conversation):
        return None
    return turn.conversation


def _keep(conversation: int, said: _Said, conversations: Conversations) -> dict[str, Any]:
    speed = said.tokens_per_second()
    id = conversations.say(
        conversation,
        Message(
            role="assistant",
            text="".join(said.parts),
            step=said.step,
            weights=said.kind,
            sampling=said.sampling,
            finish=said.finish,
            num_tokens=said.num_tokens,
            tokens_per_second=speed,
        ),
    )
    return {
        "message": id,
        "conversation": conversation,
        "step": said.step,
        "finish": said.finish,
        "num_tokens": said.num_tokens,
        "time_to_first_token_seconds": said.first_token_seconds,
        "tokens_per_second": speed,
        "seed": said.sampling["seed"],
    }
