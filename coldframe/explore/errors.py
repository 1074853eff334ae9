"""Errors as answers: every refusal and failure leaves as {"error": {"kind", "message", "advice"}}."""

from __future__ import annotations

import logging
import sqlite3

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from coldframe.errors import (
    CheckpointError,
    ColdframeError,
    ContextFullError,
    DiskFullError,
    LockError,
    ReportNotFoundError,
    RequestError,
    RunNotFoundError,
    UsageError,
    of_the_system,
)

logger = logging.getLogger("coldframe")

_STATUS: tuple[tuple[type[ColdframeError], int], ...] = (
    (RunNotFoundError, 404),
    (ReportNotFoundError, 404),
    (UsageError, 400),
    (RequestError, 400),
    (CheckpointError, 409),
    (ContextFullError, 409),
    (LockError, 409),
    (DiskFullError, 507),
)


def status_of(error: ColdframeError) -> int:
    """The HTTP status for an error of ours."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def answer_errors(app: FastAPI) -> None:
    """Give every error the one shape."""
    app.add_exception_handler(ColdframeError, _own)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(sqlite3.DatabaseError, _system)
    app.add_exception_handler(Exception, _unforeseen)


def _body(kind: str, message: str, advice: str) -> dict[str, dict[str, str]]:
    return {"error": {"kind": kind, "message": message, "advice": advice}}


def _own(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ColdframeError)
    return JSONResponse({"error": error.as_dict()}, status_code=status_of(error))


def _system(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, (OSError, sqlite3.DatabaseError))
    logger.warning("%s %s: %s", request.method, request.url.path, error)
    return _own(request, of_the_system(error))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    return JSONResponse(
        _body("Usage", f"{place or 'the request'}: {first['msg']}", "see /openapi.json"), status_code=422
    )


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        _body(
            "NotFound" if error.status_code == 404 else "Serve",
            f"{request.url.path}: {error.detail}",
            "see /openapi.json",
        ),
        status_code=error.status_code,
    )


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse(
        _body(type(error).__name__, str(error), "this is a bug of coldframe; the log has its trace"), status_code=500
    )
