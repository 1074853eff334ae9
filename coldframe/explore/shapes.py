"""What the API gives and takes, typed, so that its OpenAPI description is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coldframe.corpus.report import SourceReport
from coldframe.explore.conversations import Conversation, Message, Mode
from coldframe.explore.quantities import Quantity
from coldframe.explore.summary import Summary

Outcome = Literal["applied", "refused", "pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetail:
    """What happened and what to do next."""

    kind: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """Every refusal and failure has this shape."""

    error: ErrorDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in the list: how it stands, and its loss so far as (step, loss) pairs."""

    summary: Summary
    sparkline: list[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """The list of runs, and the names of the reports of corpora that stand alone."""

    folder: str
    time: float
    runs: list[RunRow]
    reports: list[str]
    quantities: dict[str, Quantity]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One run: how it stands, what its numbers mean, the cursor from which its stream goes on, and whether there is a
    report of its corpus."""

    summary: Summary
    quantities: dict[str, Quantity]
    cursor: str
    counts: dict[str, int]
    segments: list[dict[str, Any]]
    clip_norm: float | None
    corpus: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one table, oldest first; ask again with after=cursor while there is more."""

    table: str
    rows: list[dict[str, Any]]
    cursor: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One value of the resolved plan and why it is what it is."""

    table: str
    name: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswer:
    """The resolved plan, row by row."""

    rows: list[PlanRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusAnswer:
    """What became of each source of a corpus, as it was written down; where it was curated, with what that found."""

    made: float
    sources: list[SourceReport]
    curation: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRequest:
    """A request that nobody has taken yet."""

    id: str
    verb: str
    arguments: dict[str, Any]
    by: str
    why: str
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsAnswer:
    """Requests that wait, and what became of the others."""

    waiting: list[WaitingRequest]
    outcomes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswer:
    """What really happened to a request by now."""

    run: str
    request: str | None
    verb: str
    step: int
    outcome: Outcome
    detail: str


class RequestBody(BaseModel):
    """Something wanted of a run."""

    model_config = ConfigDict(extra="forbid")

    verb: Annotated[str, Field(max_length=40)]
    arguments: dict[str, int | float | str] = {}
    why: Annotated[str, Field(max_length=500)] = ""
    wait_seconds: Annotated[float, Field(ge=0, le=30)] = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerAnswer:
    """Who would answer now: which weights, in which manner."""

    ready: bool
    mode: Mode
    kind: Literal["live", "checkpoint"] | None
    step: int | None
    context: int | None
    loaded: bool
    detail: str


class SamplingBody(BaseModel):
    """How the next token is drawn; what is left out keeps its usual value."""

    model_config = ConfigDict(extra="forbid")

    temperature: Annotated[float, Field(ge=0, le=10)] = 0.8
    top_k: Annotated[int, Field(ge=0, lt=2**31)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    stop: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=8)] = []


#: A row's number in SQLite, which holds 64 bits.
RowNumber = Annotated[int, Field(ge=0, lt=2**63)]


class ChatBody(BaseModel):
    """One turn: goes on with a conversation, or begins one."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=60_000)]
    conversation: RowNumber | None = None
    which: Literal["live", "best"] | RowNumber = "live"
    sampling: SamplingBody = SamplingBody()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsAnswer:
    """The newest conversations."""

    conversations: list[Conversation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationAnswer:
    """One conversation with all its turns."""

    conversation: Conversation
    messages: list[Message]
