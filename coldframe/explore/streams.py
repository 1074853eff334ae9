"""Server-sent events: rows as they are written, each event with a cursor, so that a dropped line misses nothing."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from coldframe.errors import SettingsError
from coldframe.explore.cursors import Cursor, born, checkpoints_checksum, newest_cursor, parse_cursor
from coldframe.explore.curves import CHARTED, sparkline
from coldframe.explore.library import Library
from coldframe.explore.shapes import RunRow
from coldframe.explore.summary import Summary, summarise, unreadable
from coldframe.run.lock import holder
from coldframe.run.requests import waiting
from coldframe.run.view import RunView

#: How often an open stream looks whether files changed, seconds; and the longest silence on the line.
POLL_SECONDS = 1.0
LIST_POLL_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 15.0
#: Rows of one event at most.
BATCH = 1000
STEP_COLUMNS = ("id", "step", "segment", "time", "num_tokens", "seconds", *CHARTED)
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}

router = APIRouter()


@router.get("/runs/{name}/stream", response_class=StreamingResponse, responses=_STREAM)
async def run_stream(
    request: Request, name: str, after: str | None = None, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """A run's new rows as they are written, and its summary whenever it changes; begins after a cursor, or now."""
    library: Library = request.app.state.library
    view = await run_in_threadpool(library.view, name)
    text = last_event_id if last_event_id is not None else after
    cursor = parse_cursor(text) if text is not None else await run_in_threadpool(newest_cursor, view)
    return _response(_follow_run(library, view, cursor))


@router.get("/stream", response_class=StreamingResponse, responses=_STREAM)
async def runs_stream(request: Request) -> StreamingResponse:
    """Which runs there are and every run's row at once, then each again whenever it changes, as a whole."""
    return _response(_follow_runs(request.app.state.library))


def event(kind: str, data: object, id: str | None = None) -> bytes:
    """One server-sent event with a JSON body."""
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {kind}\ndata: ".encode() + orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n\n"


async def _follow_run(library: Library, view: RunView, cursor: Cursor) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    seen: tuple[object, ...] = ()
    spoke = 0.0
    while not library.closing.is_set():
        stamp = await run_in_threadpool(_stamp, library, view)
        if stamp != seen or time.monotonic() - spoke > KEEP_ALIVE_SECONDS:
            if stamp != seen:
                news = await run_in_threadpool(_all_news, view, cursor)
                for table, rows, reached in news:
                    cursor = reached
                    yield event(table, rows, str(cursor))
            summary = await run_in_threadpool(_summary, library, view)
            yield event("status", summary, str(cursor))
            seen, spoke = stamp, time.monotonic()
        await _pause(library, POLL_SECONDS)


def _summary(library: Library, view: RunView) -> Summary:
    """How a run stands; of one whose files are damaged, that."""
    try:
        return summarise(view, library.starts.state(view.folder))
    except (OSError, sqlite3.DatabaseError, SettingsError) as error:
        return unreadable(view.folder.name, error)


def _all_news(view: RunView, cursor: Cursor) -> list[tuple[str, object, Cursor]]:
    try:
        return list(_news(view, cursor))
    except sqlite3.DatabaseError:  # the summary says so
        return []


def _news(view: RunView, cursor: Cursor) -> Iterator[tuple[str, object, Cursor]]:
    """What was written after a cursor, in events, each with the cursor to go on from."""
    newest, began = view.cursor(), born(view)
    if any(newest[table] < id for table, id in cursor.ids.items()) or cursor.born not in (0, began):
        yield "reset", {"why": "the run was made anew"}, newest_cursor(view)
        return
    cursor = replace(cursor, born=began)
    for table, last in newest.items():
        while cursor.ids[table] < last:
            at = cursor.ids[table]
            rows = _step_rows(view, at) if table == "steps" else view.rows(table, after=at, limit=BATCH)
            if not rows:
                break
            cursor = replace(
                cursor, ids=cursor.ids | {table: int(rows[-1]["segment" if table == "segments" else "id"])}
            )
            yield table, _as_columns(rows) if table == "steps" else rows, cursor
    checksum = checkpoints_checksum(view)
    if checksum != cursor.checkpoints:
        cursor = replace(cursor, checkpoints=checksum)
        yield "checkpoints_changed", view.rows("checkpoints", limit=BATCH, newest=True), cursor


def _step_rows(view: RunView, after: int) -> list[dict[str, Any]]:
    rows = view.query(f"SELECT {', '.join(STEP_COLUMNS)} FROM steps WHERE id > ? ORDER BY id LIMIT ?", (after, BATCH))
    return [dict(row) for row in rows]


def _as_columns(rows: list[dict[str, object]]) -> dict[str, list[object]]:
    return {name: [row[name] for row in rows] for name in STEP_COLUMNS}


async def _follow_runs(library: Library) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    seen: dict[str, tuple[object, ...]] = {}
    spoke: float | None = None
    while not library.closing.is_set():
        changed, gone, stamps = await run_in_threadpool(_changed_runs, library, seen)
        if spoke is None:
            yield event("all", {"names": list(stamps)})
        for row in changed:
            yield event("run", row)
        for name in gone:
            yield event("gone", {"name": name})
        seen = stamps
        if changed or gone or spoke is None:
            spoke = time.monotonic()
        elif time.monotonic() - spoke > KEEP_ALIVE_SECONDS:
            yield event("beat", {"time": time.time()})
            spoke = time.monotonic()
        await _pause(library, LIST_POLL_SECONDS)


def _changed_runs(
    library: Library, seen: dict[str, tuple[object, ...]]
) -> tuple[list[RunRow], list[str], dict[str, tuple[object, ...]]]:
    views = {view.folder.name: view for view in library.views()}
    stamps = {name: _stamp(library, view) for name, view in views.items()}
    changed = [run_row(library, views[name]) for name, stamp in stamps.items() if stamp != seen.get(name)]
    return changed, [name for name in seen if name not in stamps], stamps


def run_row(library: Library, view: RunView) -> RunRow:
    """A run as the list shows it; one that cannot be read must not hide the others."""
    summary = _summary(library, view)
    try:
        return RunRow(summary=summary, sparkline=sparkline(view))
    except (OSError, sqlite3.DatabaseError) as error:
        return RunRow(summary=unreadable(view.folder.name, error), sparkline=[])


def _stamp(library: Library, view: RunView) -> tuple[object, ...]:
    """Changes when a run does; asks the file system only, so that an idle page costs the trainer nothing."""
    files = (view.folder.database, view.folder.database.with_name("run.db-wal"), view.folder.plan_file)
    return (
        *map(_file_stamp, files),
        holder(view.folder.lock) is not None,
        library.starts.state(view.folder),
        len(waiting(view.folder)),
    )


def _file_stamp(path: os.PathLike[str]) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0, 0)
    if found.st_size == 0:  # a reader makes an empty write-ahead log by looking
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


async def _pause(library: Library, seconds: float) -> None:
    try:
        await asyncio.wait_for(library.closing.wait(), seconds)
    except TimeoutError:
        pass


def _response(events: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
    )
