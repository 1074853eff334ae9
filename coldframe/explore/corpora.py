"""Reports of corpora, as pages and as JSON: that of a run, and those that `coldframe corpus report --page` keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from coldframe.errors import ColdframeError, FileError, ReportNotFoundError
from coldframe.explore.errors import status_of
from coldframe.explore.library import Library
from coldframe.explore.pages import STATIC
from coldframe.explore.shapes import CorpusAnswer
from coldframe.run.paths import find_report

_HEADERS = {"cache-control": "no-cache"}
_REPORT: dict[int | str, dict[str, Any]] = {200: {"model": CorpusAnswer}}

router = APIRouter()


@router.get("/runs/{name}/corpus.json", response_class=Response, responses=_REPORT)
def run_corpus_json(request: Request, name: str) -> Response:
    """What became of the text of a run before it was read, as the trainer wrote it down."""
    return _report(_of_run(request, name))


@router.get("/runs/{name}/corpus", include_in_schema=False)
def run_corpus_page(request: Request, name: str) -> FileResponse:
    """The same as a page; where there is none, the page says so."""
    return _page(lambda: _of_run(request, name))


@router.get("/corpus/{name}.json", response_class=Response, responses=_REPORT)
def corpus_json(request: Request, name: str) -> Response:
    """The report of a corpus that stands alone, as `coldframe corpus report --page` kept it."""
    return _report(_alone(request, name))


@router.get("/corpus/{name}", include_in_schema=False)
def corpus_page(request: Request, name: str) -> FileResponse:
    """The same as a page."""
    return _page(lambda: _alone(request, name))


def _of_run(request: Request, name: str) -> Path:
    library: Library = request.app.state.library
    path = library.view(name).folder.corpus_report
    if not path.is_file():
        raise ReportNotFoundError(
            f"run {name!r} has no report of its corpus",
            advice="coldframe train writes one when it has prepared the text of a new run",
        )
    return path


def _alone(request: Request, name: str) -> Path:
    return find_report(name, request.app.state.library.runs)


def _page(found: Callable[[], Path]) -> FileResponse:
    try:
        found()
    except ColdframeError as error:
        return FileResponse(STATIC / "corpus.html", status_code=status_of(error), headers=_HEADERS)
    return FileResponse(STATIC / "corpus.html", headers=_HEADERS)


def _report(path: Path) -> Response:
    """The file's own bytes, once they are known to be a report.

    Raises:
        FileError: when they are not.
    """
    content = path.read_bytes()
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise FileError(f"{path} is damaged: {error}", advice="have the report made again") from None
    if not isinstance(found, dict) or not isinstance(found.get("sources"), list):
        raise FileError(f"{path} is no report of a corpus", advice="have the report made again")
    return Response(content, media_type="application/json", headers=_HEADERS)
