"""Asking something of a run, and answering with what really happened."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from coldframe.errors import RequestError, UsageError
from coldframe.explore.library import Library
from coldframe.explore.shapes import ErrorAnswer, Outcome, RequestAnswer, RequestBody, RequestsAnswer, WaitingRequest
from coldframe.explore.starts import Start
from coldframe.explore.wording import count
from coldframe.run.lock import holder
from coldframe.run.requests import Request as Wanted
from coldframe.run.requests import new_request, read, send, waiting, withdraw
from coldframe.run.starting import already_done
from coldframe.run.view import RunView

_LOOK_SECONDS = 0.05
_HTTP = {"applied": 200, "pending": 202, "refused": 409}

router = APIRouter()


@router.get("/runs/{name}/requests.json")
def requests_json(request: Request, name: str) -> RequestsAnswer:
    """Requests that wait, and what became of the newest others."""
    view = request.app.state.library.view(name)
    return RequestsAnswer(waiting=_waiting(view), outcomes=view.rows("outcomes", limit=200, newest=True))


@router.post(
    "/runs/{name}/requests",
    response_model=RequestAnswer,
    responses={202: {"model": RequestAnswer}, 400: {"model": ErrorAnswer}, 409: {"model": RequestAnswer}},
)
async def ask(request: Request, name: str, body: RequestBody) -> JSONResponse:
    """Drop a request and wait a little for its outcome: 200 applied, 409 refused, 202 not got to yet."""
    library: Library = request.app.state.library
    view = await run_in_threadpool(library.view, name)
    wanted = new_request(body.verb, body.arguments, by="explorer", why=body.why)
    if await run_in_threadpool(holder, view.folder.lock) is None:
        answer = await _without_trainer(library, view, wanted.verb, body.wait_seconds)
    else:
        await run_in_threadpool(send, view.folder, wanted)
        answer = await _outcome(view, wanted, body.wait_seconds)
    return JSONResponse(asdict(answer), status_code=_HTTP[answer.outcome])


@router.delete("/runs/{name}/requests/{id}", responses={404: {"model": ErrorAnswer}, 409: {"model": ErrorAnswer}})
def take_back(request: Request, name: str, id: str) -> RequestsAnswer:
    """Take a request back that nobody has taken yet."""
    view = request.app.state.library.view(name)
    path = next((path for path in waiting(view.folder) if path.stem == id), None)
    try:
        if path is None:
            raise FileNotFoundError
        path.unlink()  # by its own name: what stands within, anybody may have written
    except FileNotFoundError:
        raise RequestError(
            f"no request {id[:60]!r} waits", advice="it was taken already, or taken back; its outcome says which"
        ) from None
    return requests_json(request, name)


def _waiting(view: RunView) -> list[WaitingRequest]:
    found = []
    for path in waiting(view.folder):
        try:
            wanted = read(path)
        except RequestError as error:  # somebody's nonsense; the trainer will refuse it, the page shows it till then
            found.append(WaitingRequest(id=path.stem, verb="?", arguments={}, by="?", why=error.message, time=0.0))
        except FileNotFoundError:  # taken between the look and the read
            continue
        else:
            found.append(
                WaitingRequest(
                    id=path.stem,
                    verb=wanted.verb,
                    arguments=dict(wanted.arguments),
                    by=wanted.by,
                    why=wanted.why,
                    time=wanted.time,
                )
            )
    return found


async def _outcome(view: RunView, wanted: Wanted, seconds: float) -> RequestAnswer:
    deadline = time.monotonic() + seconds
    name, id, verb = view.folder.name, wanted.id, wanted.verb
    row = await run_in_threadpool(view.outcome, id)
    while row is None and time.monotonic() < deadline:
        if await run_in_threadpool(holder, view.folder.lock) is None and withdraw(view.folder, wanted):
            detail, step = "the trainer ended before it took the request", view.status().step
            return RequestAnswer(run=name, request=id, verb=verb, step=step, outcome="refused", detail=detail)
        await asyncio.sleep(_LOOK_SECONDS)
        row = await run_in_threadpool(view.outcome, id)
    if row is None:
        detail = "the trainer takes it at its next safe point"
        return RequestAnswer(run=name, request=id, verb=verb, step=view.status().step, outcome="pending", detail=detail)
    return RequestAnswer(
        run=name, request=id, verb=verb, step=row["step"], outcome=row["outcome"], detail=row["detail"]
    )


async def _without_trainer(library: Library, view: RunView, verb: str, seconds: float) -> RequestAnswer:
    """With nobody training, resume starts a trainer; everything else has nobody to do it."""
    name, status = view.folder.name, view.status()
    if verb == "extend":
        raise UsageError(
            "nobody trains this run, so nobody can extend it here", advice=f"coldframe extend {name} --steps N"
        )

    def answer(outcome: Outcome, detail: str) -> RequestAnswer:
        return RequestAnswer(run=name, request=None, verb=verb, step=view.status().step, outcome=outcome, detail=detail)

    if verb != "resume":
        return answer(
            "refused",
            f"nobody trains {name!r} now ({status.status} at step {count(status.step)}), so there is nothing to {verb}",
        )
    if status.status == "done":
        return answer("refused", already_done(view.folder))
    start: Start | None = await run_in_threadpool(library.starts.begin, view.folder)
    deadline = time.monotonic() + seconds
    while start is not None and start.state == "starting" and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        start = await run_in_threadpool(library.starts.state, view.folder)
    if start is None:
        return answer("applied", "a trainer was started, did what was left, and ended")
    if start.state == "failed":
        return answer("refused", f"the trainer could not go on: {start.detail} (all of it: {view.folder.log})")
    if start.state == "running":
        return answer("applied", f"a trainer was started (process {start.pid}) and holds the run")
    return answer("pending", f"a trainer is starting (process {start.pid}); what it says goes to {view.folder.log}")
