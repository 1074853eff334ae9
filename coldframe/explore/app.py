"""The explorer's application: every route, in the order of the pages, and what stands around them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from coldframe.explore import chat, corpora, pages, requests, streams
from coldframe.explore.errors import answer_errors
from coldframe.explore.library import Library
from coldframe.explore.security import Guard
from coldframe.explore.shapes import ErrorAnswer

#: What any route may answer instead; a route names what is its own.
_REFUSALS: dict[int | str, str] = {
    400: "What was asked for cannot be asked for",
    401: "The token is missing or wrong",
    403: "A page from elsewhere may not act on a run",
    404: "No such run, report or address",
    413: "The request is too long",
    421: "The explorer does not answer to this name",
    422: "The request does not have the shape described here",
    500: "A file cannot be read, or a bug",
    507: "The disk is full",
}


def create_app(
    runs: Path | str, *, token: str | None = None, cookie: str = "coldframe", host: str = "127.0.0.1"
) -> FastAPI:
    """The application over a folder of runs; with a token, for visitors from elsewhere too, under the name of `host`.

    FastAPI's own documentation pages load their scripts from elsewhere, so they are switched off; /openapi.json stays.
    """
    app = FastAPI(
        title="coldframe explorer",
        version=_version(),
        docs_url=None,
        redoc_url=None,
        description="Runs, their metrics, samples, requests and corpora, and a chat with their newest weights.",
        responses={status: {"model": ErrorAnswer, "description": meaning} for status, meaning in _REFUSALS.items()},
    )
    app.state.library = Library(runs)
    app.include_router(streams.router)
    app.include_router(requests.router)
    app.include_router(chat.router)
    app.include_router(corpora.router)  # before a run's tables, whose address would fit its corpus.json too
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    app.add_middleware(Guard, token=token, cookie=cookie, host=host)
    answer_errors(app)
    return app


def _version() -> str:
    try:
        return version("coldframe")
    except PackageNotFoundError:  # run from a checkout
        return "0"
