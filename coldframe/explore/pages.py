"""The pages, their JSON twins, and a run's tables."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from coldframe.errors import RunNameError, RunNotFoundError
from coldframe.explore.cursors import newest_cursor
from coldframe.explore.curves import CHARTED, READ, as_bytes, as_json, curves
from coldframe.explore.library import Library
from coldframe.explore.quantities import QUANTITIES
from coldframe.explore.shapes import PlanAnswer, PlanRow, Rows, RunPage, RunsPage
from coldframe.explore.streams import run_row
from coldframe.explore.summary import find_setting, summarise
from coldframe.run.paths import list_reports

STATIC = Path(__file__).parent / "static"
Table = Literal[
    "source_losses",
    "evals",
    "samples",
    "events",
    "stages",
    "outcomes",
    "checkpoints",
    "published",
    "heartbeats",
    "segments",
]
_JSON: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}

router = APIRouter()


@router.get("/", include_in_schema=False)
@router.get("/runs", include_in_schema=False)
def list_page() -> FileResponse:
    """The list of runs, as a page."""
    return FileResponse(STATIC / "list.html", headers={"cache-control": "no-cache"})


@router.get("/.json", include_in_schema=False)
@router.get("/runs.json")
def runs_json(request: Request) -> RunsPage:
    """Every run: how it stands, its loss so far; and the reports of corpora that stand alone."""
    library: Library = request.app.state.library
    rows = [run_row(library, view) for view in library.views()]
    return RunsPage(
        folder=str(library.runs.absolute()),
        time=time.time(),
        runs=rows,
        reports=list_reports(library.runs),
        quantities=QUANTITIES,
    )


@router.get("/runs/{name}.json")
def run_json(request: Request, name: str) -> RunPage:
    """One run: how it stands, what its numbers mean, and the cursor from which its stream goes on."""
    library: Library = request.app.state.library
    view = library.view(name)
    cursor = newest_cursor(view)
    clip = find_setting(view.plan(), "clip_norm")
    return RunPage(
        summary=summarise(view, library.starts.state(view.folder)),
        quantities=QUANTITIES,
        cursor=str(cursor),
        counts=cursor.ids,
        segments=view.rows("segments"),
        clip_norm=clip if isinstance(clip, (int, float)) else None,
        corpus=view.folder.corpus_report.is_file(),
    )


@router.get("/runs/{name}", include_in_schema=False)
def run_page(request: Request, name: str) -> FileResponse:
    """One run, as a page; for a name that does not exist the page says so."""
    library: Library = request.app.state.library
    headers = {"cache-control": "no-cache"}
    try:
        view = library.view(name)
    except (RunNotFoundError, RunNameError):
        return FileResponse(STATIC / "run.html", status_code=404, headers=headers)
    ahead = BackgroundTask(view.metrics, READ)  # a long run's columns are read while the browser loads the scripts
    return FileResponse(STATIC / "run.html", headers=headers, background=ahead)


def _curves(request: Request, name: str, columns: str, start: int | None, end: int | None, points: int) -> Any:
    view = request.app.state.library.view(name)
    return curves(view, tuple(filter(None, columns.split(","))), start=start, end=end, points=points)


_CHARTED = ",".join(CHARTED)
Columns = Annotated[str, Query(description="columns of the steps table, with commas between")]
From = Annotated[int | None, Query(alias="from", description="first step")]
To = Annotated[int | None, Query(description="last step")]
Points = Annotated[int, Query(description="buckets at most, each with the mean, min and max of its steps")]


@router.get("/runs/{name}/metrics.json", response_class=Response, responses=_JSON)
def metrics_json(
    request: Request,
    name: str,
    columns: Columns = _CHARTED,
    start: From = None,
    to: To = None,
    points: Points = 1000,
) -> Response:
    """Step metrics in buckets that keep their extremes; where a step was trained twice, its newest values."""
    return Response(as_json(_curves(request, name, columns, start, to, points)), media_type="application/json")


@router.get("/runs/{name}/metrics.bin", response_class=Response, responses=_BYTES)
def metrics_bytes(
    request: Request,
    name: str,
    columns: Columns = _CHARTED,
    start: From = None,
    to: To = None,
    points: Points = 1000,
) -> Response:
    """The same as bytes: uint32 header length, JSON header, a float64 array an axis, float32 arrays for the columns."""
    return Response(as_bytes(_curves(request, name, columns, start, to, points)), media_type="application/octet-stream")


@router.get("/runs/{name}/plan.json")
def plan_json(request: Request, name: str) -> PlanAnswer:
    """The resolved plan, each value with its reason."""
    plan = request.app.state.library.view(name).plan()
    return PlanAnswer(rows=list(_plan_rows(plan, "", {})))


@router.get("/runs/{name}/{table}.json")
def table_json(
    request: Request,
    name: str,
    table: Table,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    newest: bool = False,
) -> Rows:
    """A table's rows, oldest first; with newest, its last rows."""
    rows = request.app.state.library.view(name).rows(table, after=after, limit=limit, newest=newest)
    key = "segment" if table == "segments" else "id"
    return Rows(table=table, rows=rows, cursor=rows[-1][key] if rows else after, more=len(rows) == limit and not newest)


def _plan_rows(table: dict[str, Any], path: str, reasons: dict[str, str]) -> list[PlanRow]:
    """Leaves of the plan's tables in order; a table's `reasons` speak for its own values and those below."""
    reasons = reasons | {key: str(value) for key, value in table.get("reasons", {}).items()}
    rows = [
        PlanRow(table=path, name=name, value=_plain(value), reason=reasons.get(name, ""))
        for name, value in table.items()
        if not isinstance(value, dict)
    ]
    for name, value in table.items():
        if isinstance(value, dict) and name != "reasons":
            rows += _plan_rows(value, f"{path}.{name}".strip("."), reasons)
    return rows


def _plain(value: Any) -> Any:
    """TOML knows dates and not-a-number, which JSON does not."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return orjson.loads(orjson.dumps(value, default=str))
