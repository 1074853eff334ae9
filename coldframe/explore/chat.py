"""The chat: who would answer, a turn that streams, and the conversations so far."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from coldframe.errors import CheckpointError, UsageError
from coldframe.explore.conversations import Message, Mode
from coldframe.explore.library import Library
from coldframe.explore.shapes import (
    ChatBody,
    ConversationAnswer,
    ConversationsAnswer,
    ErrorAnswer,
    RowNumber,
    SpeakerAnswer,
)
from coldframe.explore.speakers import newest_weights
from coldframe.explore.streams import event
from coldframe.explore.summary import find_setting
from coldframe.explore.turns import Turn, speak
from coldframe.explore.wording import count
from coldframe.run.leases import take_lease
from coldframe.run.lock import holder
from coldframe.run.view import RunView

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    409: {"model": ErrorAnswer},
}

#: How long the first question to a run that has just begun waits for weights.
_FIRST_WEIGHTS_SECONDS, _POLL_SECONDS = 20.0, 0.2

router = APIRouter()


@router.get("/runs/{name}/chat.json")
def speaker_json(request: Request, name: str) -> SpeakerAnswer:
    """Who would answer now: which weights, and whether they answer or go on with a text."""
    library: Library = request.app.state.library
    return _answer(library, library.view(name))


@router.post("/runs/{name}/chat/lease")
async def lease(request: Request, name: str) -> SpeakerAnswer:
    """Say that somebody talks: a trainer publishes fresh weights for the next minute, and they are loaded ahead."""
    library: Library = request.app.state.library
    view = await run_in_threadpool(library.view, name)
    await run_in_threadpool(_take_lease, view)
    try:
        await run_in_threadpool(library.speakers.speaker, view)
    except CheckpointError:
        pass  # nothing to speak with yet, which the answer says in words
    return await run_in_threadpool(_answer, library, view)


@router.post("/runs/{name}/chat", response_class=StreamingResponse, responses=_STREAM)
async def chat(request: Request, name: str, body: ChatBody) -> StreamingResponse:
    """One turn as server-sent events: start, token..., then end or error; closing the connection stops the model."""
    library: Library = request.app.state.library
    view = await run_in_threadpool(library.view, name)
    turn = await run_in_threadpool(_begin, library, view, body)
    return StreamingResponse(
        _events(library, turn), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


@router.get("/conversations.json")
def conversations_json(
    request: Request, run: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> ConversationsAnswer:
    """The newest conversations, of one run or of all."""
    return ConversationsAnswer(conversations=request.app.state.library.conversations.listed(run, limit))


@router.get("/conversations/{id}.json")
def conversation_json(request: Request, id: RowNumber) -> ConversationAnswer:
    """One conversation with all its turns."""
    library: Library = request.app.state.library
    found = library.conversations.one(id)
    if found is None:
        raise UsageError(f"no conversation {id}", advice="see /conversations.json")
    return ConversationAnswer(conversation=found, messages=library.conversations.messages(id))


@router.delete("/conversations/{id}")
def delete_conversation(request: Request, id: RowNumber) -> ConversationsAnswer:
    """Forget a conversation; answers with those that are left."""
    library: Library = request.app.state.library
    if not library.conversations.delete(id):
        raise UsageError(f"no conversation {id}", advice="see /conversations.json")
    return ConversationsAnswer(conversations=library.conversations.listed())


def _answer(library: Library, view: RunView) -> SpeakerAnswer:
    weights = newest_weights(view)
    context = find_setting(view.plan(), "context")
    if weights is None:
        detail = "no weights yet: the first checkpoint brings them"
    elif weights.kind == "live":
        detail = f"published weights of step {count(weights.step)}"
    else:
        detail = f"checkpoint of step {count(weights.step)} (nothing newer is published)"
    return SpeakerAnswer(
        ready=weights is not None,
        mode=_mode(view),
        kind=weights.kind if weights else None,
        step=weights.step if weights else None,
        context=context if isinstance(context, int) else None,
        loaded=weights is not None and library.speakers.is_loaded(view, weights),
        detail=detail,
    )


def _mode(view: RunView) -> Mode:
    return "chat" if view.answers() else "continue"


def _take_lease(view: RunView) -> None:
    if holder(view.folder.lock) is not None:  # with nobody training, nobody would publish
        take_lease(view.folder, f"explorer-{os.getpid()}", "chat")


def _has_weights(view: RunView) -> bool:
    """Whether there is something to speak with; a trainer that has just begun gets the time to publish it."""
    until = time.monotonic() + _FIRST_WEIGHTS_SECONDS
    while newest_weights(view) is None:
        if holder(view.folder.lock) is None or time.monotonic() > until:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _begin(library: Library, view: RunView, body: ChatBody) -> Turn:
    """Check the turn, open the conversation if it is new, and keep what the person said."""
    _take_lease(view)
    manner = _mode(view)
    talks = library.conversations
    if manner == "chat" and not body.text.strip():
        raise UsageError("there is nothing to answer", advice="write something first")
    if body.conversation is None:
        if not _has_weights(view):
            raise CheckpointError(
                f"run {view.folder.name!r} has no weights to speak with yet", advice="wait for its first checkpoint"
            )
        conversation = talks.begin(view.folder.name, manner, body.text)
    else:
        found = talks.one(body.conversation)
        if found is None or found.run != view.folder.name:
            raise UsageError(
                f"no conversation {body.conversation} with run {view.folder.name!r}", advice="begin a new one"
            )
        conversation, manner = found.id, found.mode
    said = talks.say(conversation, Message(role="user", text=body.text, sampling={})) if body.text else None
    return Turn(
        view=view,
        mode=manner,
        conversation=conversation,
        begun=body.conversation is None,
        question=said,
        which=body.which,
        sampling=body.sampling,
    )


async def _events(library: Library, turn: Turn) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
    stop = threading.Event()

    def tell(kind: str, data: dict[str, Any]) -> None:
        if not stop.is_set():
            loop.call_soon_threadsafe(pieces.put_nowait, (kind, data))

    arguments = (turn, library.speakers, library.conversations, tell, stop)
    threading.Thread(target=speak, args=arguments, name="turn", daemon=True).start()
    try:
        while not library.closing.is_set():
            try:
                kind, data = await asyncio.wait_for(pieces.get(), 1.0)
            except TimeoutError:  # a slow model, or a server that is being ended
                continue
            yield event(kind, data)
            if kind in ("end", "error"):
                return
    finally:
        stop.set()  # the page closed the line, or the server ends: the model falls silent after the token under way
